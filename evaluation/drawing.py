"""A white sheet for pictures, text and a legend of colours, written as PNG; panels.py draws on it.

It is drawn with Pillow, while figures.py draws axes with matplotlib: a sheet of four rows takes 72 ms
of CPU time here and 150 ms in matplotlib, which also knows no line of text that is cut to a width.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from dataset.label_table import hatch
from files.png_writer import write_png

_BLACK = (24, 24, 24)
_EDGE = (150, 150, 150)
# Pixels at zoom 1.
_LEGEND_LINE = 22
_LEGEND_SIZE = 13
_SWATCH = 14
_MAX_NAME = 40  # characters


@contextmanager
def canvas(path: str, width: int, height: int, zoom: float = 1) -> Iterator["Canvas"]:
    """A white Canvas; it is written to a PNG file at the end of the block, unless that fails."""
    sheet = Canvas(width, height, zoom)
    yield sheet
    write_png(path, np.asarray(sheet.image))


class Canvas:
    """A white sheet; lengths are in pixels, the origin is the upper left corner.

    Args:
        width, height (int): of the sheet.
        zoom (float): how much larger than usual all text is.
    """

    def __init__(self, width: int, height: int, zoom: float = 1):
        self.image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self.image)
        self._zoom = zoom

    def picture(self, left: int, top: int, picture: np.ndarray) -> None:
        """Paste uint8 (H, W, 3), RGB, pixel for pixel."""
        self.image.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top))

    def text(
        self, left: int, top: int, width: int, text: str, size: int, bold=False
    ) -> None:
        """Write a line, cut where it is wider than a width; size is in pixels at zoom 1."""
        font = _font(text, size * self._zoom, bold)
        self._draw.text((left, top), shorten(text, font, width), fill=_BLACK, font=font)

    def legend(self, left: int, top: int, width: int, entries: list) -> None:
        """Colours and names in columns, as high as legend_height() says.

        Args:
            entries (list of tuple): name, (r, g, b), or None for a hatched field.
        """
        rows, column = _legend_grid(entries, width, self._zoom)
        line, swatch = round(_LEGEND_LINE * self._zoom), round(_SWATCH * self._zoom)
        gap = swatch // 2
        for number, (name, color) in enumerate(entries):
            x = left + number // rows * column
            y = top + number % rows * line + (line - swatch) // 2
            field = np.full((swatch, swatch, 3), color or 0, np.uint8)
            if color is None:
                hatch(field, np.ones((swatch, swatch), bool))
            self.picture(x, y, field)
            self._draw.rectangle((x, y, x + swatch - 1, y + swatch - 1), outline=_EDGE)
            space = column - swatch - 2 * gap
            self.text(x + swatch + gap, y - 1, space, name, _LEGEND_SIZE)


def legend_height(entries: list, width: int, zoom: float = 1) -> int:
    """Pixels that a legend needs at a width."""
    return _legend_grid(entries, width, zoom)[0] * round(_LEGEND_LINE * zoom)


def _legend_grid(entries: list, width: int, zoom: float) -> tuple[int, int]:
    """Rows, and width of a column."""
    size = _LEGEND_SIZE * zoom
    lengths = (_font(name, size).getlength(name[:_MAX_NAME]) for name, _ in entries)
    longest = max(lengths, default=0)
    column = min(width, math.ceil(longest + 2.5 * _SWATCH * zoom))
    columns = max(1, width // column)
    return -(-len(entries) // columns), column


def shorten(text: str, font, width: int) -> str:
    """The text; if it is wider than a width, its beginning and an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(text: str, size: float, bold: bool = False):
    return _load_font(font_path(text, bold), size)


@lru_cache(maxsize=64)
def _load_font(path: str, size: float):
    return ImageFont.truetype(path, size)


def font_path(text: str, bold: bool = False) -> str:
    """A font file that has all characters of a text.

    Matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic but no Chinese
    or Japanese; for those the fonts of the system are searched. Where none fits, DejaVu Sans
    draws boxes.
    """
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    usual = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name)
    return _covering_font(usual, frozenset(map(ord, text)))


@lru_cache(maxsize=4096)
def _covering_font(usual: str, characters: frozenset[int]) -> str:
    if characters <= _characters(usual):
        return usual
    return next((f for f in _installed() if characters <= _characters(f)), usual)


@cache
def _installed() -> list[str]:
    return sorted(font_manager.findSystemFonts())


@cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # a broken font file is no reason to stop
        return frozenset()
