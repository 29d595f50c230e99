"""Writes pictures as PNG; every program's pictures go through here."""

import io

import numpy as np
from PIL import Image

from files.opencv import cv2
from files.whole_file import write_bytes


def write_png(path: str, picture: np.ndarray) -> None:
    """Write a picture, whole or not at all.

    Args:
        path: the file.
        picture: uint8 (H, W, 3) in RGB, or uint8 or uint16 (H, W), stored as it is.

    Raises:
        UserError: it cannot be written.
    """
    write_bytes(path, encode_png(picture))


def encode_png(picture: np.ndarray) -> bytes:
    """The bytes of a PNG file; the picture is as in write_png()."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    # Not cv2.imwrite: it returns False on a full disk, and does not say why.
    return cv2.imencode(".png", stored)[1].tobytes()


def write_palette_png(path: str, numbers: np.ndarray, colors: np.ndarray) -> None:
    """Write class numbers so that a viewer shows each in its colour, whole or not at all.

    Pillow reads the numbers back; OpenCV gives the colours instead, whatever it is asked for.

    Args:
        path: the file.
        numbers: uint8 (H, W), or uint16 if there are more than 256 colours, which a palette
            cannot hold: then a picture of 16-bit grey levels is written.
        colors: uint8 (n, 3), RGB; row i is the colour of number i.

    Raises:
        UserError: it cannot be written.
    """
    if len(colors) > 256:
        write_png(path, numbers)
        return
    picture = Image.fromarray(numbers)
    picture.putpalette(colors.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    write_bytes(path, file.getvalue())
