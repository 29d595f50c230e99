"""Estimates the memory that a training takes, and refuses what cannot fit; preflight.py calls it."""

import psutil

from files.errors import UserError
from files.text_table import counted

# Measured with float32 at 3, 32 and 100 classes, forward, backward and update: 1,080, 1,470 and
# 3,100 bytes a pixel. These are lower, as a training that could just fit must not be refused.
_BYTES_A_PIXEL = 600
_BYTES_A_PIXEL_AND_CLASS = 12
# Measured at 3, 32 and 100 classes, forward alone: 190, 214 and 568 bytes a pixel.
_BYTES_A_PIXEL_VALIDATED = 120
_BYTES_A_PIXEL_AND_CLASS_VALIDATED = 3
# Parameters of the network: those of its 3x3 and 1x1 layers, and of the deconvolutions, whose
# kernels (two of 4x4, one of 16x16) lead from each class to each class.
_PARAMETERS = 720_000
_PARAMETERS_A_PAIR_OF_CLASSES = 2 * 4 * 4 + 16 * 16
_COPIES = 4 * 4  # weights, gradients and Adam's two moments, 4 bytes each
_COPIES_AVERAGED = 2 * 4  # the average of the weights, and a network that holds it


def refuse_too_much(
    n_class: int,
    batch_size: int,
    size: tuple[int, int],
    largest_scale: float = 1.0,
    validated: int = 0,
    validated_size: tuple[int, int] = (0, 0),
    is_averaged: bool = False,
) -> None:
    """Make sure that a training can fit into this machine's memory.

    Args:
        n_class: number of classes.
        batch_size: images in a batch.
        size: (H, W) of the largest image, as the network sees it.
        largest_scale: the largest factor that augmentation scales a batch by.
        validated: images that are validated at once.
        validated_size: (H, W) of the largest of them, as the network sees it.
        is_averaged: whether there is an average of the weights.

    Raises:
        UserError: it cannot; names the keys to change.
    """
    available = machine_memory()
    copies = _COPIES + is_averaged * _COPIES_AVERAGED
    model = copies * (_PARAMETERS + _PARAMETERS_A_PAIR_OF_CLASSES * n_class**2)
    if model > available:
        raise UserError(
            f"label_path: a network of {n_class:,} classes takes at least {_gib(model)} of memory, "
            f"and this machine has {_gib(available)}; use a table of fewer classes"
        )
    pixels = batch_size * size[0] * size[1] * max(1.0, largest_scale) ** 2
    maps = int(pixels * (_BYTES_A_PIXEL + _BYTES_A_PIXEL_AND_CLASS * n_class))
    if model + maps > available:
        raise UserError(
            f"training_params.batch_size: to train with {counted(batch_size, 'image')} of "
            f"{size[1]} x {size[0]} pixels at once takes at least {_gib(model + maps)} of memory, "
            f"and this machine has {_gib(available)}; lower training_params.batch_size, "
            "image_scale, crop_size, or augmentation_params.scale"
        )
    pixels = validated * validated_size[0] * validated_size[1]
    maps = pixels * (
        _BYTES_A_PIXEL_VALIDATED + _BYTES_A_PIXEL_AND_CLASS_VALIDATED * n_class
    )
    if model + maps > available:
        raise UserError(
            f"image_scale: to validate with {counted(validated, 'image')} of "
            f"{validated_size[1]} x {validated_size[0]} pixels at once takes at least "
            f"{_gib(model + maps)} of memory, and this machine has {_gib(available)}; lower "
            "image_scale or training_params.batch_size, or take images as large out of "
            "val_image_pointer"
        )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return psutil.virtual_memory().total


def _gib(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"
