"""Decodes a label file of any format but LabelMe's, before a table says what it means.

label_reader.py reads labels with it, preparing.label_survey finds out how they are made.
"""

import io
import math
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from dataset.file_finder import PICTURE_ENDINGS
from dataset.image_reader import MAX_PICTURE_BYTES, checked_content, decode
from files.errors import UserError
from files.npz_reader import Shapes, read_npz
from files.opencv import cv2

_PNG_PALETTE = 3  # the "colour type" in a PNG's header
# In a folder; each is read, and a list may name the folder a million times.
_MAX_MASKS = 10_000
# Pixels of a tile in a TIFF, which may be larger than the picture.
_USUAL_TILE = 1 << 18


class StoredLabel(NamedTuple):
    """What a label file holds.

    Args:
        pixels (ndarray): numbers, indices of the palette or grey levels (H, W), or colours uint8
            (H, W, 3), RGB.
        palette (ndarray or None): uint8 (n, 3), RGB, where the file has one.
        is_jpeg (bool): whether a JPEG has changed the values.
        bits (int): of a value in a file of one channel: a PNG may have 1, 2 or 4.
    """

    pixels: np.ndarray
    palette: np.ndarray | None = None
    is_jpeg: bool = False
    bits: int = 8

    @property
    def grey_levels(self) -> np.ndarray:
        """The numbers of a file of one channel, its largest possible one as white: 255."""
        return self.pixels * np.uint8(255 // ((1 << self.bits) - 1))


def read_stored_label(path: str, size: tuple[int, int]) -> StoredLabel:
    """Decode a label.

    A folder is a label, too: of masks, one for each object. What is white in one of them is 255,
    the rest 0.

    Args:
        path: a picture (GIF, too), the book's npz, or a folder of masks.
        size: (H, W) of the image.

    Raises:
        UserError: the label is broken or of another size.
    """
    if os.path.isdir(path):
        return StoredLabel(_read_masks(path, size))
    if path.endswith(".npz"):
        return StoredLabel(_read_npz_label(path, size))
    return read_label_picture(path, size)


def read_label_picture(path: str, size: tuple[int, int] | None = None) -> StoredLabel:
    """Decode a picture.

    Args:
        path: the picture.
        size: (H, W) of the image; without it, the label may have any size.

    Raises:
        UserError: it is broken or of another size.
    """
    content, claimed = checked_content(path, with_gif=True)
    # A label that takes more memory than its image: threads share a budget of images' pixels alone.
    if size and math.prod(claimed) > max(math.prod(size), _USUAL_TILE):
        _refuse_other_size(path, claimed, size)
    stored = _decode(path, content)
    if size:
        _refuse_other_size(path, stored.pixels.shape, size)
    return stored


def _decode(path: str, content: bytes) -> StoredLabel:
    if content.startswith(b"GIF8") or _has_palette(content):
        return _decode_by_pillow(path, content)
    label = decode(path, content)
    if label.ndim == 2 and _is_png(content) and content[24] < 8:
        # OpenCV spreads numbers of 1, 2 or 4 bits over 0 to 255.
        bits = content[24]
        return StoredLabel(label // (255 // ((1 << bits) - 1)), bits=bits)
    return StoredLabel(label, is_jpeg=content.startswith(b"\xff\xd8"))


def _refuse_other_size(path: str, shape: tuple, size: tuple[int, int]) -> None:
    if shape[:2] != tuple(size):
        raise UserError(
            f"{path}: the label is {shape[1]} x {shape[0]} pixels, "
            f"its image {size[1]} x {size[0]} (width x height); export it in the size of its image"
        )


def _read_npz_label(path: str, size: tuple[int, int]) -> np.ndarray:
    def check(stored: Shapes) -> None:
        if "data" not in stored:
            raise UserError(f"{path}: no array 'data' in it, as the book's labels have")
        shape, dtype = stored["data"]
        if len(shape) != 2 or dtype.kind not in "iu":
            raise UserError(
                f"{path}: 'data' must be (H, W) whole numbers, not {shape} {dtype}"
            )
        _refuse_other_size(path, shape, size)

    return read_npz(path, "label", MAX_PICTURE_BYTES, check, ["data"])["data"]


def masks_in(folder: str) -> list[str]:
    """The names of the pictures in a folder of masks, in order.

    Raises:
        UserError: it cannot be listed, or holds none or too many.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot list the folder: {error.strerror}") from None
    endings = (*PICTURE_ENDINGS, ".gif")
    masks = [n for n in names if n[0] != "." and n.lower().endswith(endings)]
    if not masks:
        raise UserError(
            f"{folder}: a folder as a label holds masks, but there is no picture in it; name a "
            "file, or put the masks there"
        )
    if len(masks) > _MAX_MASKS:
        raise UserError(
            f"{folder}: {len(masks):,} masks; at most {_MAX_MASKS:,} make a label: join them"
        )
    return sorted(masks)


def _read_masks(folder: str, size: tuple[int, int]) -> np.ndarray:
    """All masks of a folder laid over each other: uint8 (H, W), 0 or 255."""
    label = np.zeros(size, np.uint8)
    for name in masks_in(folder):
        path = os.path.join(folder, name)
        pixels, palette, *_ = read_label_picture(path, size)
        if palette is not None:
            pixels = palette.max(axis=1)[np.minimum(pixels, len(palette) - 1)]
        elif pixels.ndim == 3:
            pixels = pixels.max(axis=2)
        # Above the half, as a JPEG changes values; a mask may also hold 0 and 1.
        label[pixels > pixels.max() // 2] = 255
    return label


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


def _has_palette(content: bytes) -> bool:
    return _is_png(content) and content[25] == _PNG_PALETTE


def _decode_by_pillow(path: str, content: bytes) -> StoredLabel:
    """A PNG with a palette, or a GIF."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "GIF")) as image:
            if image.mode == "L":  # a GIF whose palette is that of the grey levels
                return StoredLabel(np.asarray(image))
            colors = np.frombuffer(image.palette.palette, np.uint8).reshape(-1, 3)
            return StoredLabel(np.asarray(image), colors)
    # Pillow raises more than ten kinds on bytes that were changed at random.
    except Exception:  # noqa: BLE001
        raise UserError(
            f"{path}: not an image that can be read; is the file complete?"
        ) from None


def count_numbers(pixels: np.ndarray) -> np.ndarray:
    """Pixels of each number: uint8 (H, W) -> float32 (256,)."""
    return cv2.calcHist([pixels], [0], None, [256], [0, 256])[:, 0]
