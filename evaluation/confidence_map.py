"""Draws how sure the network is of each pixel, with a legend in numbers; photo_segmenter.py calls it."""

import matplotlib
import numpy as np

from evaluation import drawing

# Dark where it guesses, light where it is sure; readable for the colour-blind, and in grey.
_MAP = matplotlib.colormaps["viridis"]
_COLORS = (_MAP(np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_TITLE = "probability of the class taken"
# Pixels at zoom 1.
_GAP, _BAR, _LINE, _MIN_WIDTH = 8, 16, 20, 240
_READABLE_WIDTH = 800  # of a sheet, at which text has its usual size


def confidence_colors(confidence: np.ndarray) -> np.ndarray:
    """float32 (H, W) in [0, 1] -> uint8 (H, W, 3), RGB."""
    return _COLORS[(confidence * 255).round().astype(np.uint8)]


def draw_confidence(path: str, confidence: np.ndarray) -> None:
    """Draw a confidence at the photo's own size over a bar of its colours.

    Args:
        path: the picture to write (PNG).
        confidence: float32 (H, W), probability of the class taken.
    """
    height, width = confidence.shape
    zoom = max(1, width / _READABLE_WIDTH)
    gap, bar, line = (round(length * zoom) for length in (_GAP, _BAR, _LINE))
    sheet_width = max(width, _MIN_WIDTH)
    legend_height = 2 * line + bar + 2 * gap
    with drawing.canvas(path, sheet_width, height + legend_height, zoom) as canvas:
        canvas.picture(0, 0, confidence_colors(confidence))
        top = height + gap
        title = f"{_TITLE}; mean {confidence.mean(dtype=np.float64):.1%}"
        canvas.text(gap, top, sheet_width - 2 * gap, title, size=13)
        top += line
        length = sheet_width - 2 * gap
        ramp = np.linspace(0, 1, length, dtype=np.float32)[None].repeat(bar, axis=0)
        canvas.picture(gap, top, confidence_colors(ramp))
        for tick in _TICKS:
            text = f"{tick:.0%}"
            # The last number ends where the bar does, the others stand in their middle.
            text_width = round(8 * len(text) * zoom)
            left = gap + round(tick * (length - text_width))
            canvas.text(left, top + bar, text_width + gap, text, size=12)
