"""Reads an image together with its label; mini_batch_loader.py calls it."""

import threading
from contextlib import nullcontext
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

# Pairs above this many pixels are read one at a time, however many loader_jobs there are.
_LARGE_PIXELS = 1 << 22
_large = threading.Lock()


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

    Threads read large pairs one after the other: decoding takes 20 bytes a pixel for a moment.

    Args:
        path: the image.
        label: the file of its label.
        in_ch: channels that the image shall have.
        table: the classes, and how labels give them.

    Raises:
        UserError: as these.
    """
    content, pixels = checked_content(path)
    with _large if pixels > _LARGE_PIXELS else nullcontext():
        picture = decode(path, content)
        bits = used_bits(picture)
        image = as_channels(eight_bits(np.atleast_3d(picture), bits), in_ch)
        scaled_bits = bits if picture.dtype == np.uint16 else 0
        return Pair(image, read_label(label, table, image.shape[:2]), scaled_bits)
