"""Prepares images and labels for the network, batch by batch: the chapter's loader.

train.py and predict.py make a DatasetPreProcessor of each list of images and give it to one of
Chainer's iterators. Whatever is random depends on (seed, epoch, position in the epoch) alone,
so neither threads nor the choice of iterator change a result.
"""

import os
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import chainer_compat

import chainer
import numpy as np

from dataset import augmentation
from dataset.epoch_order import EpochOrder, padded_size, random_generator
from dataset.image_reader import label_path, read_image, read_label, read_pointer_file
from files.errors import UserError
from image_normalizer import ImageNormalizer

_CENTRE = (0.5, 0.5)


class DatasetPreProcessor(chainer.dataset.DatasetMixin):
    """The images of one list with their labels, scaled, cropped, augmented, normalised.

    Args:
        args (SimpleNamespace): ``chainer.global_config.user_train_args``, ``.user_val_args``
            or ``.user_test_args``.

    Attributes:
        names (list of str): file names of the images, as in the list.

    Raises:
        UserError: the list is missing or empty, or a name in it leaves the image folder.
    """

    def __init__(self, args: SimpleNamespace):
        self.args = args
        self.names = read_pointer_file(args.image_pointer_path, args.image_pointer_key)
        self._multiple = chainer.global_config.user_multiple
        self._slots = padded_size(len(self.names), args.training_params.batch_size)
        self.normalize = make_normalizer(args.normalizer)
        self._cache = _ImageCache(args.cache_size * 2**20)

    def __len__(self) -> int:
        return len(self.names)

    def get_example(self, i: int) -> tuple[np.ndarray, np.ndarray] | None:
        """One image and its label.

        Args:
            i: number of the image, or a number out of an EpochOrder, which tells the epoch and
                position of the draw as well; None is returned for its PADDING.

        Returns:
            tuple: image float32 (C, H, W); label int32 (H, W), values in [-1, n_class).

        Raises:
            UserError: a file is missing, broken, or disagrees with the configuration.
        """
        if i == EpochOrder.PADDING:
            return None
        draw, index = divmod(int(i), len(self))
        # A plain number counts as a draw of epoch 0 at its place in the list, all of them as
        # one batch: load_data() may be given any of them together.
        epoch, position = divmod(draw, self._slots) if draw else (0, index)
        batch = position // self.args.training_params.batch_size if draw else 0
        if self.args.train:
            image, label = self.scaled_pair(index)
            scale = self._batch_scale(epoch, batch)
            rng = random_generator(self.args.seed, epoch, position)
            image, label = self._vary(image, label, index, scale, rng)
        else:
            image, label = self.plain_pair(index)
        image = self.normalize(image)
        return np.ascontiguousarray(image.transpose(2, 0, 1)), label.astype(
            np.int32, order="C"
        )

    def load_data(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """A batch: images float32 (N, C, H, W), labels int32 (N, H, W).

        Plain numbers give the same augmentation each time; the numbers of an EpochOrder,
        another in each epoch.

        Raises:
            UserError: as get_example(), and where the images are not all of one size.
        """
        return stack_examples([self[i] for i in indices])

    def file_names(self, numbers: Iterable[int]) -> list[str]:
        """The image file names that belong to numbers as get_example() takes them."""
        return [self.names[i % len(self)] for i in numbers if i != EpochOrder.PADDING]

    def scaled_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label scaled by image_scale, before any augmentation.

        Returns:
            tuple: uint8 (H, W, C) in RGB or grey; int16 (H, W). Not to be written to.

        Raises:
            UserError: as get_example().
        """
        pair = self._cache.get(index)
        if pair is None:
            pair = augmentation.resize_pair(
                *self.full_pair(index), self.args.image_scale
            )
            self._refuse_too_small(index, pair[1].shape)
            self._cache.put(index, pair)
        return pair

    def full_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label as they are in their files: uint8 (H, W, C), int16 (H, W).

        Raises:
            UserError: as get_example().
        """
        path = self.path(index)
        image = read_image(path, self.args.in_ch)
        return image, read_label(
            label_path(path), self.args.label_table, image.shape[:2]
        )

    def plain_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label scaled and cropped at the centre, neither augmented nor normalised.

        Returns:
            tuple: uint8 (H, W, C), int16 (H, W); both sides multiples of user_multiple.

        Raises:
            UserError: as get_example().
        """
        image, label = self.scaled_pair(index)
        return augmentation.crop_to_multiple(image, label, self._multiple, _CENTRE)

    def size_in_batch(self, index: int, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) that an image has in a batch, augmentation by scale aside.

        Args:
            index: number of the image, for messages.
            size: (H, W) of its file.

        Raises:
            UserError: it is too small.
        """
        scaled = augmentation.scaled_size(size, self.args.image_scale)
        self._refuse_too_small(index, scaled)
        return self.size_after_crop(scaled)

    def size_after_crop(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W), cut down to multiples of user_multiple."""
        return size[0] - size[0] % self._multiple, size[1] - size[1] % self._multiple

    def path(self, index: int) -> str:
        """Path of an image file."""
        return os.path.join(self.args.image_dir_path, self.names[index])

    def _vary(self, image, label, index: int, scale: float, rng: np.random.Generator):
        """Scale and crop, and augment."""
        params = self.args.aug_params.params
        augment = self.args.aug_params.do_augment
        if scale != 1:
            image, label = augmentation.resize_pair(image, label, scale)
            self._refuse_too_small(index, label.shape, "augmentation_params.scale")
        image, label = augmentation.crop_to_multiple(
            image, label, self._multiple, rng.random(2)
        )
        if augment and params.zoom != [1, 1]:
            factor = rng.uniform(*params.zoom)
            image, label = augmentation.zoom(image, label, factor, rng)
        if augment and params.do_flip:
            image, label = augmentation.flip(image, label, params.flips, rng)
        if augment and params.change_brightness:
            image = augmentation.change_brightness(image, rng)
        if augment and params.change_contrast:
            image = augmentation.change_contrast(image, rng)
        if augment and (params.color_gain != [1, 1] or params.color_offset):
            image = augmentation.jitter_colors(
                image, params.color_gain, params.color_offset, rng
            )
        return image, label

    @property
    def _scales(self) -> list[float]:
        """The factors by which a batch may be scaled, beside 1."""
        params = self.args.aug_params
        return (
            params.params.scale if params.do_augment and params.params.do_scale else []
        )

    def _batch_scale(self, epoch: int, batch: int) -> float:
        """One scale for all images of a batch: in half of the batches, one out of the list."""
        if not self._scales:
            return 1.0
        rng = random_generator(self.args.seed, epoch, batch, 1)
        return 1.0 if rng.integers(0, 2) else float(rng.choice(self._scales))

    def refuse_too_small_scales(self, index: int, size: tuple[int, int]) -> None:
        """Raise a UserError where an augmentation by scale would leave too little of an image.

        Args:
            index: number of the image, for the message.
            size: (H, W) after image_scale.
        """
        smallest = augmentation.scaled_size(size, min([1.0, *self._scales]))
        self._refuse_too_small(index, smallest, "augmentation_params.scale")

    def _refuse_too_small(
        self, index: int, size: tuple[int, int], key: str = "image_scale"
    ) -> None:
        if min(size) < self._multiple:
            raise UserError(
                f"{self.path(index)}: scaled to {size[1]} x {size[0]} pixels, the "
                f"image is smaller than user_multiple ({self._multiple}); make {key} larger"
            )


def make_normalizer(name: str):
    """The function for a value of the ``normalizer`` key: (H, W, C) -> float32 (H, W, C)."""
    normalizer = ImageNormalizer()
    return {
        "GCN": normalizer.GCN,
        "LCN": normalizer.LCN,
        "none": lambda image: np.divide(image, 255, dtype=np.float32),
    }[name]


class _ImageCache:
    """Keeps pairs until a number of bytes is reached; later ones are read again each time."""

    def __init__(self, max_bytes: int):
        self._free = max_bytes
        self._pairs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def get(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        return self._pairs.get(index)

    def put(self, index: int, pair: tuple[np.ndarray, np.ndarray]) -> None:
        size = sum(array.nbytes for array in pair)
        if size <= self._free and self._pairs.setdefault(index, pair) is pair:
            self._free -= size


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

    Where there is none, as in a process's share of a short batch, an image without labels
    stands in: its loss and all gradients are 0.
    """
    return device.send(stack_examples(whole_examples(examples) or [unlabelled()]))


def unlabelled() -> tuple[np.ndarray, np.ndarray]:
    """The smallest example, black and without a label."""
    side = chainer.global_config.user_multiple
    channels = chainer.global_config.user_train_args.in_ch
    image = np.zeros((channels, side, side), np.float32)
    return image, np.full((side, side), -1, np.int32)
