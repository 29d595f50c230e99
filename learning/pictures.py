"""Pictures as data URIs for the page, and how numbers become colours; the figures' modules call it."""

import base64

import numpy as np

from files.opencv import cv2

_DEVIATIONS = 2.5  # a normalised photo is shown from minus to plus so many


def png(picture: np.ndarray) -> str:
    """Data URI of uint8 (H, W, 3) in RGB, (H, W, 1) or (H, W), every pixel kept."""
    return _data_uri(picture, ".png", [])


def jpeg(picture: np.ndarray, quality: int = 85) -> str:
    """Data URI of uint8 (H, W, 3) in RGB, (H, W, 1) or (H, W): a tenth of the size, for photos."""
    return _data_uri(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _data_uri(picture: np.ndarray, ending: str, options: list[int]) -> str:
    is_color = picture.shape[2:] == (3,)
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if is_color else picture
    content = base64.b64encode(cv2.imencode(ending, stored, options)[1]).decode()
    return f"data:image/{ending[1:].replace('jpg', 'jpeg')};base64,{content}"


def normalized_photo(x: np.ndarray, normalizer: str) -> np.ndarray:
    """A normalised image as the network gets it, grey 128 for 0.

    Args:
        x: float32 (C, H, W).
        normalizer: GCN, LCN or none, which gives grey levels divided by 255.

    Returns:
        ndarray: uint8 (H, W, C).
    """
    levels = 255 * x if normalizer == "none" else 127.5 * (1 + x / _DEVIATIONS)
    picture = np.clip(levels, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def stretched(values: np.ndarray) -> np.ndarray:
    """float (H, W) -> uint8 (H, W): the smallest value black, the largest white."""
    low, high = float(values.min()), float(values.max())
    return (255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)


def signed(values: np.ndarray) -> np.ndarray:
    """float (...) -> uint8 (...): 0 grey, the largest magnitude black or white."""
    largest = max(float(np.abs(values).max()), 1e-12)
    return (127.5 * (1 + values / largest)).astype(np.uint8)


def heat(values: np.ndarray) -> np.ndarray:
    """float (H, W), not negative -> uint8 (H, W, 3): 0 black, large values yellow.

    The largest 0.5 % share the brightest colour, or a few pixels would leave the rest black.
    """
    top = max(float(np.percentile(values, 99.5)), 1e-30)
    levels = (255 * np.clip(values / top, 0, 1)).astype(np.uint8)
    return cv2.cvtColor(
        cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )


def sheet(pictures: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Pictures beside and below each other.

    Args:
        pictures: uint8 (N, H, W) or (N, H, W, 3).
        columns: in a row.
        gap: white pixels between them.

    Returns:
        ndarray: uint8; rows of the sheet, columns of the sheet, and channels if there are any.
    """
    missing = -len(pictures) % columns
    edges = [(0, missing), (0, gap), (0, gap), *[(0, 0)] * (pictures.ndim - 3)]
    padded = np.pad(pictures, edges, constant_values=255)
    rows = [
        np.concatenate(list(row), axis=1)
        for row in padded.reshape(-1, columns, *padded.shape[1:])
    ]
    whole = np.concatenate(rows)
    return np.ascontiguousarray(whole[: len(whole) - gap, : whole.shape[1] - gap])
