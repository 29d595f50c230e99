"""Estimates the memory that a training takes, and refuses what cannot fit; preflight.py calls it."""

import psutil

from files.errors import UserError

# Measured with float32 at 3, 32 and 100 classes, forward, backward and update: 1,080, 1,470 and
# 3,100 bytes a pixel. These are lower, as a training that could just fit must not be refused.
_BYTES_A_PIXEL = 600
_BYTES_A_PIXEL_AND_CLASS = 12
# Parameters of the network: those of its 3x3 and 1x1 layers, and of the deconvolutions, whose
# kernels (two of 4x4, one of 16x16) lead from each class to each class.
_PARAMETERS = 720_000
_PARAMETERS_A_PAIR_OF_CLASSES = 2 * 4 * 4 + 16 * 16
_COPIES = 4 * 4  # weights, gradients and Adam's two moments, 4 bytes each


def refuse_too_much(
    n_class: int, batch_size: int, size: tuple[int, int], largest_scale: float = 1.0
) -> None:
    """Make sure that a training can fit into this machine's memory.

    Args:
        n_class: number of classes.
        batch_size: images in a batch.
        size: (H, W) of the largest image, as the network sees it.
        largest_scale: the largest factor that augmentation scales a batch by.

    Raises:
        UserError: it cannot; names the keys to change.
    """
    available = machine_memory()
    model = _COPIES * (_PARAMETERS + _PARAMETERS_A_PAIR_OF_CLASSES * n_class**2)
    if model > available:
        raise UserError(
            f"label_path: a network of {n_class:,} classes takes at least {_gib(model)} of memory, "
            f"and this machine has {_gib(available)}; use a table of fewer classes"
        )
    pixels = batch_size * size[0] * size[1] * max(1.0, largest_scale) ** 2
    maps = int(pixels * (_BYTES_A_PIXEL + _BYTES_A_PIXEL_AND_CLASS * n_class))
    if model + maps > available:
        raise UserError(
            f"training_params.batch_size: to train with {batch_size:,} images of "
            f"{size[1]} x {size[0]} pixels at once takes at least {_gib(model + maps)} of memory, "
            f"and this machine has {_gib(available)}; lower training_params.batch_size, "
            "image_scale, crop_size, or augmentation_params.scale"
        )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return psutil.virtual_memory().total


def _gib(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"
