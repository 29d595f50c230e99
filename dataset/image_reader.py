"""Reads photos: any number of channels and bits that picture files have, as the network wants them.

dataset.pair_reader reads the images of a list with it, dataset.label_reader label pictures, and
predict.py what the user names.
"""

import os

import numpy as np

from dataset.file_finder import refuse_missing
from dataset.picture_header import FORMATS, checked_picture
from files.errors import UserError
from files.opencv import cv2

MAX_PICTURE_BYTES = 1 << 30
# IMREAD_UNCHANGED would not turn the photos that a telephone marked as lying on a side.
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
# Bits of a sensor whose values may stand in a file of 16 bits.
_SENSOR_BITS = (8, 10, 12, 14, 16)


def read_picture(path: str) -> np.ndarray:
    """Decode an image file as it is.

    Args:
        path: a PNG, JPEG, BMP, TIFF, WebP or PNM file; another ending does no harm.

    Returns:
        ndarray: uint8 or uint16, (H, W) or (H, W, 3) in RGB; an alpha channel is dropped, and a
        photo that its camera marked as turned stands upright.

    Raises:
        UserError: no such file, or nothing that can be decoded; see checked_picture().
    """
    return decode(path, checked_content(path)[0])


def checked_content(path: str, with_gif: bool = False) -> tuple[bytes, tuple[int, int]]:
    """The bytes of an image file, to be given to decode(), and its (H, W) as checked_picture() has it.

    With with_gif, also those of a GIF, which decode() does not know.

    Raises:
        UserError: no such file, or nothing that can be decoded; see checked_picture().
    """
    refuse_missing(path)
    try:
        if os.path.getsize(path) > MAX_PICTURE_BYTES:
            raise UserError(f"{path}: larger than 1 GiB; this is no image")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot read the image: {error.strerror}") from None
    return checked_picture(path, content, with_gif)


def decode(path: str, content: bytes) -> np.ndarray:
    """As read_picture(), from the bytes that checked_content() gave."""
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{path}: not an image that can be read ({FORMATS}, 8 or 16 bits a channel); "
            "is the file complete?"
        )
    if picture.ndim == 2:
        return picture
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, picture)  # in its own memory


def read_image(path: str, in_ch: int) -> np.ndarray:
    """An image for the network.

    Args:
        path: as for read_picture(); 16-bit levels become 8 bits as in eight_bits().
        in_ch: 3 or 1, the channels to give it; colours become grey, and grey becomes a colour.

    Returns:
        ndarray: uint8 (H, W, in_ch), RGB if in_ch is 3.

    Raises:
        UserError: as read_picture().
    """
    return as_channels(read_any_image(path), in_ch)


def read_any_image(path: str) -> np.ndarray:
    """As read_image(), but with the channels that the file has: uint8 (H, W, 3 or 1)."""
    return any_image(read_picture(path))


def any_image(picture: np.ndarray) -> np.ndarray:
    """What read_picture() or decode() gave, as uint8 (H, W, 3 or 1)."""
    return eight_bits(np.atleast_3d(picture), used_bits(picture))


def as_channels(image: np.ndarray, in_ch: int) -> np.ndarray:
    """uint8 (H, W, C) with C 3 (RGB) or 1 -> uint8 (H, W, in_ch)."""
    if image.shape[2] == in_ch:
        return image
    code = cv2.COLOR_GRAY2RGB if in_ch == 3 else cv2.COLOR_RGB2GRAY
    return np.atleast_3d(cv2.cvtColor(image, code))


def used_bits(picture: np.ndarray) -> int:
    """How many bits a channel of a picture fills: 8, or for uint16 the least of 8, 10, 12, 14, 16.

    Cameras and microscopes write values of 12 bits, up to 4095, into files of 16 bits.
    """
    if picture.dtype == np.uint8:
        return 8
    highest = int(picture.max())
    return next(bits for bits in _SENSOR_BITS if highest < 1 << bits)


def eight_bits(picture: np.ndarray, bits: int) -> np.ndarray:
    """uint8 or uint16, of which so many bits are used -> uint8 of the same shape."""
    if picture.dtype == np.uint8:
        return picture
    if bits == 16:
        return (picture // 257).astype(np.uint8)
    return (picture >> (bits - 8)).astype(np.uint8)
