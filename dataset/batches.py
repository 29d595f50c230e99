"""Makes a batch of examples (image, label); Chainer's iterators and updaters call it."""

import chainer_compat

import chainer
import numpy as np

from files.errors import UserError


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
            "scaling and cropping); bring them to one size, or set training_params.batch_size: 1"
        )
    return examples


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
