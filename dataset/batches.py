"""Makes a batch of examples (image, label); Chainer's iterators and updaters call it."""

import math
from collections.abc import Iterable

import chainer_compat

import chainer
import numpy as np

from files.errors import UserError

_LARGEST_WINDOW = 320  # pixels of a side, in what is proposed for crop_size


def stack_examples(examples: list) -> tuple[np.ndarray, np.ndarray]:
    """Make a batch of examples: float32 (N, C, H, W), int32 (N, H, W); None is left out.

    Raises:
        UserError: the images are not all of one size.
    """
    return chainer.dataset.concat_examples(whole_examples(examples))


def whole_examples(examples: list) -> list[tuple[np.ndarray, np.ndarray]]:
    """The examples that are not None.

    Raises:
        UserError: the images are not all of one size.
    """
    examples = [example for example in examples if example is not None]
    sizes = {label.shape for _, label in examples}
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sorted(sizes)[:2]
        raise UserError(
            f"images of different sizes in one batch ({w1} x {h1} and {w2} x {h2} pixels after "
            f"scaling and cropping); add {crop_line(sizes)}, which cuts windows of one size out of "
            "them, bring them to one size, or set training_params.batch_size: 1"
        )
    return examples


def crop_line(sizes: Iterable[tuple[int, int]]) -> str:
    """The line for the configuration that makes batches of images of some sizes.

    Windows have the median height and width, but at most 320 pixels.
    """
    multiple = chainer.global_config.user_multiple
    sides = np.minimum(np.median(list(sizes), axis=0), _LARGEST_WINDOW)
    height, width = (max(int(side) // multiple, 1) * multiple for side in sides)
    return f"crop_size: [{height}, {width}]"


def alike(examples: list) -> list[list]:
    """A batch of examples split up into batches of one size each; None is left out.

    With crop_size, none of them has more pixels than a training batch, so that whole images need
    no more memory than the windows that are trained on; but each has at least one image.
    """
    sizes: dict[tuple[int, int], list] = {}
    for example in filter(None, examples):
        sizes.setdefault(example[1].shape, []).append(example)
    parts = []
    for size, whole in sizes.items():
        count = most_alike(size, len(whole))
        parts += [whole[i : i + count] for i in range(0, len(whole), count)]
    return parts or [[]]


def most_alike(size: tuple[int, int], count: int) -> int:
    """How many of so many whole images of a size (H, W) go through the network at once."""
    args = chainer.global_config.user_train_args
    if not args.crop_size:
        return count
    most = args.training_params.batch_size * math.prod(args.crop_size)
    return max(1, min(count, most // math.prod(size)))


@chainer.dataset.converter()
def to_batch(examples: list, device: chainer.backend.Device):
    """Chainer's converter for a list of examples: stack_examples(), sent to the device.

    A process whose share of a short batch is empty gets one image without labels: its loss and
    all its gradients are 0.
    """
    return device.send(stack_examples(whole_examples(examples) or [unlabelled()]))


def unlabelled() -> tuple[np.ndarray, np.ndarray]:
    """The smallest example, black and without a label."""
    side = chainer.global_config.user_multiple
    channels = chainer.global_config.user_train_args.in_ch
    image = np.zeros((channels, side, side), np.float32)
    return image, np.full((side, side), -1, np.int32)
