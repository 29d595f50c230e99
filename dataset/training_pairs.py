"""Makes of a scaled pair of image and label what a training sees in one epoch, for mini_batch_loader.py.

All random numbers depend on the seed, the epoch, and the image's position in it alone.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from dataset.augmentation import (
    augment,
    change_light,
    crop_to_multiple,
    flip,
    random_window,
    resize_pair,
)
from dataset.epoch_order import Draw, random_generator


class TrainingPairs:
    """Varies pairs at random, crops them to the size they have in a batch, and normalises them.

    Args:
        args (SimpleNamespace): ``chainer.global_config.user_train_args``.
        multiple (int): ``user_multiple``.
        normalize (callable): uint8 (H, W, C) -> float32 (H, W, C).

    Attributes:
        scales (list of float): the factors by which a batch may be scaled, beside 1.
        smallest_scale (float): the smallest factor by which a batch is scaled.
    """

    def __init__(self, args: SimpleNamespace, multiple: int, normalize: Callable):
        self._seed, self._crop_size = args.seed, args.crop_size
        self._params = args.aug_params.params if args.aug_params.do_augment else None
        self._multiple = multiple
        self._normalize = normalize
        self._half_size_epochs = args.training_params.half_size_epochs
        is_scaled = self._params is not None and self._params.do_scale
        self.scales: list[float] = self._params.scale if is_scaled else []
        self.smallest_scale = min([1.0, *self.scales]) * (
            0.5 if self._half_size_epochs else 1.0
        )

    def example(self, image: np.ndarray, label: np.ndarray, draw: Draw):
        """What a draw makes of a pair.

        Args:
            image: uint8 (H, W, C), scaled by image_scale.
            label: int16 (H, W).
            draw: as EpochOrder.draw() gives it.

        Returns:
            tuple: image float32 (h, w, C), normalised; label int16 (h, w). The size is crop_size,
            or the largest multiple of user_multiple after the batch's scale; in the epochs of
            half_size_epochs about half of it.
        """
        rng = random_generator(self._seed, draw.epoch, draw.position)
        scale = self._batch_scale(draw)
        if self._is_half(draw):
            scale *= 0.5
        if self._crop_size:
            return self._window(image, label, scale, self._window_size(draw), rng)
        image, label = resize_pair(image, label, scale)
        image, label = crop_to_multiple(image, label, self._multiple, rng.random(2))
        if self._params:
            image, label = augment(image, label, self._params, rng)
        return self._normalize(image), label

    def _is_half(self, draw: Draw) -> bool:
        """Whether the image is drawn in one of the epochs at half of the size; epoch 0 is none."""
        return 1 <= draw.epoch <= self._half_size_epochs

    def _window_size(self, draw: Draw) -> tuple[int, int]:
        """(H, W) of the windows in an epoch: crop_size, or half of it in multiples."""
        height, width = self._crop_size
        if not self._is_half(draw):
            return height, width
        multiple = self._multiple
        return tuple(max(1, s // 2 // multiple) * multiple for s in (height, width))

    def _batch_scale(self, draw: Draw) -> float:
        """One scale for all images of a batch: in half of the batches, one out of the list."""
        if not self.scales:
            return 1.0
        rng = random_generator(self._seed, draw.epoch, draw.batch, 1)
        return 1.0 if rng.integers(0, 2) else float(rng.choice(self.scales))

    def _window(self, image, label, scale: float, size, rng: np.random.Generator):
        """A random window of some size (H, W), augmented like any other pair.

        The pair is normalised before it is cut or padded, as a whole image is in validation. So
        a pixel's value depends neither on where the window lies nor on the padding.
        """
        params = self._params
        if params and params.zoom != [1, 1]:
            scale *= rng.uniform(*params.zoom)
        image, label = resize_pair(image, label, scale)
        if params:
            image = change_light(image, params, rng)
        image = self._normalize(image)
        image, label = random_window(image, label, size, rng)
        if params and params.do_flip:
            image, label = flip(image, label, params.flips, rng)
        return image, label
