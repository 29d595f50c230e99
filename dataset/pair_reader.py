"""Reads an image together with its label; mini_batch_loader.py calls it."""

import math
from typing import NamedTuple

import numpy as np

from dataset.image_reader import (
    as_channels,
    checked_content,
    decode,
    eight_bits,
    used_bits,
)
from dataset.label_reader import read_label
from dataset.label_table import LabelTable
from dataset.pixel_budget import in_work, take_pixels


class Pair(NamedTuple):
    """An image and its label.

    Args:
        image (ndarray): uint8 (H, W, in_ch).
        label (ndarray): int16 (H, W), values in [-1, n_class).
        scaled_bits (int): how many bits of an image of 16 bits became 8; 0 for another image.
    """

    image: np.ndarray
    label: np.ndarray
    scaled_bits: int


def read_pair(path: str, label: str, in_ch: int, table: LabelTable) -> Pair:
    """An image and its label, as read_image() and read_label() give them.

    Threads share a budget of pixels: decoding takes 20 bytes a pixel for a moment. Who keeps what
    was read for longer calls it within pixel_budget.in_work().

    Args:
        path: the image.
        label: the file of its label.
        in_ch: channels that the image shall have.
        table: the classes, and how labels give them.

    Raises:
        UserError: as these.
    """
    content, size = checked_content(path)
    with in_work():
        take_pixels(math.prod(size))
        picture = decode(path, content)
        bits = used_bits(picture)
        image = as_channels(eight_bits(np.atleast_3d(picture), bits), in_ch)
        scaled_bits = bits if picture.dtype == np.uint16 else 0
        return Pair(image, read_label(label, table, image.shape[:2]), scaled_bits)
