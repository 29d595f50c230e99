"""Writes pictures as PNG; every program's pictures go through here."""

import numpy as np

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
