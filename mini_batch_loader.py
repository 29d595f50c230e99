"""Prepares images and labels for the network, batch by batch: the chapter's loader.

train.py and predict.py make a DatasetPreProcessor of each list of images; train.py gives it to
one of Chainer's iterators. All random numbers depend on the seed, the epoch, and the image's
position in the epoch alone, so neither threads nor the choice of iterator change a result.
"""

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace

import chainer_compat

import chainer
import numpy as np

from dataset import augmentation
from dataset.batches import stack_examples
from dataset.epoch_order import Draw, EpochOrder
from dataset.list_reader import read_list
from dataset.pair_cache import PairCache
from dataset.pair_reader import read_pair
from dataset.pixel_budget import in_work
from dataset.training_pairs import TrainingPairs
from files.errors import UserError
from image_normalizer import make_normalizer

_CENTRE = (0.5, 0.5)


class DatasetPreProcessor(chainer.dataset.DatasetMixin):
    """The images of one list with their labels, scaled, cropped, augmented, normalised.

    Args:
        args (SimpleNamespace): ``chainer.global_config.user_train_args``, ``.user_val_args``
            or ``.user_test_args``.

    Attributes:
        names (list of str): file names of the images, as in the list.
        lines (list of str): of each image its name, and behind a tab its label's, if listed.
        scaled_bits (dict): {index: how many bits became 8} of the images of 16 bits read so far.

    Raises:
        UserError: the list is missing or empty, or a name in it leaves the image folder.
    """

    def __init__(self, args: SimpleNamespace):
        self.args = args
        self._list = read_list(args.image_pointer_path, args.image_pointer_key)
        self.names, self.lines = self._list.images, self._list.lines
        self.scaled_bits: dict[int, int] = {}
        self._multiple = chainer.global_config.user_multiple
        batch_size = args.training_params.batch_size
        self._order = EpochOrder(len(self.names), batch_size, args.seed)
        self.normalize = make_normalizer(args.normalizer)
        self._training = TrainingPairs(args, self._multiple, self.normalize)
        self._crop_size = args.crop_size if args.train else None
        self._cache = PairCache(args.cache_size * 2**20)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The examples of the list, each once, in its order."""
        # Without it, Python would ask for 0, 1, 2 ... until an IndexError, but numbers beyond the
        # list are those of an EpochOrder.
        return (self[i] for i in range(len(self)))

    def get_example(self, i: int) -> tuple[np.ndarray, np.ndarray] | None:
        """One image and its label.

        Args:
            i: place of the image in the list, or a number of an EpochOrder, which tells the epoch
                and the position as well; for its PADDING, None is returned.

        Returns:
            tuple: image float32 (C, H, W); label int32 (H, W), values in [-1, n_class).

        Raises:
            UserError: a file is missing, broken, or disagrees with the configuration.
        """
        if i == EpochOrder.PADDING:
            return None
        with in_work():
            return self._example(self._order.draw(i))

    def _example(self, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        if self.args.train:
            image, label = self.scaled_pair(draw.index)
            self.refuse_too_small_scales(draw.index, label.shape)
            image, label = self._training.example(image, label, draw)
        else:
            image, label = self.plain_pair(draw.index)
            image = self.normalize(image)
        image = image.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
        return np.ascontiguousarray(image), label.astype(np.int32, order="C")

    def load_data(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """A batch: images float32 (N, C, H, W), labels int32 (N, H, W).

        Plain numbers give the same augmentation each time, those of an EpochOrder another one.

        Raises:
            UserError: as get_example(), and where the images are not all of one size.
        """
        return stack_examples([self[i] for i in indices])

    def file_names(self, numbers: Iterable[int]) -> list[str]:
        """The image file names that belong to numbers as get_example() takes them."""
        draws = (self._order.draw(i) for i in numbers if i != EpochOrder.PADDING)
        return [self.names[draw.index] for draw in draws]

    def scaled_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label scaled by image_scale, before any augmentation.

        Returns:
            tuple: uint8 (H, W, C) in RGB or grey; int16 (H, W). Not to be written to.

        Raises:
            UserError: as get_example().
        """
        pair = self._cache.get(index)
        if pair is None:
            with in_work():
                full = self.full_pair(index)
                pair = augmentation.resize_pair(*full, self.args.image_scale)
            self._refuse_too_small(index, pair[1].shape)
            self._cache.put(index, pair)
        return pair

    def full_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label as they are in their files: uint8 (H, W, C), int16 (H, W).

        Raises:
            UserError: as get_example().
        """
        paths = self.path(index), self.label_path(index)
        pair = read_pair(*paths, self.args.in_ch, self.args.label_table)
        if pair.scaled_bits:
            self.scaled_bits[index] = pair.scaled_bits
        return pair.image, pair.label

    def plain_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label scaled and cropped at the centre, neither augmented nor normalised.

        Returns:
            tuple: uint8 (H, W, C), int16 (H, W); both sides multiples of user_multiple.
        """
        image, label = self.scaled_pair(index)
        return augmentation.crop_to_multiple(image, label, self._multiple, _CENTRE)

    def scaled_size(self, index: int, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of an image after image_scale.

        Args:
            index: number of the image, for messages.
            size: (H, W) of its file; a UserError where it is too small.
        """
        scaled = augmentation.scaled_size(size, self.args.image_scale)
        self._refuse_too_small(index, scaled)
        return scaled

    def size_in_batch(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) in a batch of an image of some scaled size: crop_size, or cut to multiples."""
        if self._crop_size:
            return tuple(self._crop_size)
        return size[0] - size[0] % self._multiple, size[1] - size[1] % self._multiple

    def path(self, index: int) -> str:
        """Path of an image file, which need not exist."""
        return self._list.image_path(self.args.image_dir_path, index)

    def unsure_files(self) -> Iterable[int]:
        """The images of which path() and label_path() need to be asked whether the files exist."""
        return self._list.unsure(self.args.image_dir_path)

    def label_path(self, index: int) -> str:
        """Path of an image's label; a UserError where there is none."""
        return self._list.label_path(self.args.image_dir_path, index)

    @property
    def largest_scale(self) -> float:
        """The largest factor by which augmentation makes the images of a batch larger."""
        return 1.0 if self._crop_size else max([1.0, *self._training.scales])

    def refuse_too_small_scales(self, index: int, size: tuple[int, int]) -> None:
        """Raise a UserError where an image, (H, W) after image_scale, is too small for a batch's scale."""
        smallest = augmentation.scaled_size(size, self._training.smallest_scale)
        key = "augmentation_params.scale" if self._training.scales else "image_scale"
        self._refuse_too_small(index, smallest, key)

    def _refuse_too_small(
        self, index: int, size: tuple[int, int], key: str = "image_scale"
    ) -> None:
        # What a window lacks is padded.
        if min(size) < self._multiple and not self._crop_size:
            raise UserError(
                f"{self.path(index)}: scaled to {size[1]} x {size[0]} pixels, the "
                f"image is smaller than user_multiple ({self._multiple}); make {key} larger"
            )
