"""Shows classes beside photos: overlays, rows of panels with a legend of the classes in them.

predict.py, data_check.py and training/progress.py draw with it. Small pictures are enlarged by whole
numbers, so that their colours are exactly those of the label table.
"""

from dataclasses import dataclass

import numpy as np

from dataset.image_reader import as_channels
from dataset.label_table import LabelTable, hatch
from evaluation import drawing
from files.opencv import cv2

# All lengths in pixels.
_MIN_WIDTH, _MAX_WIDTH, _MAX_HEIGHT = 360, 640, 960  # of a panel, where possible
_DRAWN_FROM = 1920  # of a picture's side, more or less: a panel has fewer
_GAP = 8
_LINE = 24  # height of a line of text
_READABLE_WIDTH = 1200  # of a sheet, at which text has its usual size

_WRONG = (214, 39, 40)


@dataclass(frozen=True)
class Row:
    """A line of panels.

    Args:
        title (str): says which image it is.
        pictures (list of ndarray): uint8 (H, W, 3), RGB.
        classes (set of int): those that occur in the pictures, for the legend; -1: unlabelled.
    """

    title: str
    pictures: list[np.ndarray]
    classes: set[int]

    @property
    def height(self) -> int:
        return max(picture.shape[0] for picture in self.pictures)


def thinning(picture: np.ndarray) -> slice:
    """Which rows and columns of (H, W, C) a panel is drawn from: all, unless it is large."""
    return slice(None, None, max(1, max(picture.shape) // _DRAWN_FROM))


HEADINGS = ["photo", "truth", "prediction", "where it is wrong"]


def comparison_row(
    title: str,
    photo: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    table: LabelTable,
) -> Row:
    """A row with the panels of HEADINGS.

    Args:
        title: says which image it is.
        photo: uint8 (H, W, C), RGB or grey.
        truth: int (H, W), values in [-1, n_class).
        prediction: int (H, W), values in [0, n_class).
        table: names and colours.
    """
    photo = as_channels(photo, 3)
    return Row(
        title,
        [
            photo,
            table.colors_of_classes(truth),
            table.colors_of_classes(prediction),
            mistakes(photo, truth, prediction),
        ],
        set(np.union1d(truth, prediction).tolist()),
    )


def mistakes(
    photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> np.ndarray:
    """A pale grey photo; wrong pixels are red, unlabelled ones hatched: uint8 (H, W, 3)."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    picture = as_channels(np.atleast_3d(150 + (grey * np.float32(105 / 255))), 3)
    picture = picture.astype(np.uint8)
    picture[(truth != prediction) & (truth >= 0)] = _WRONG
    hatch(picture, truth < 0)
    return picture


def overlay(photo: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Photo and coloured classes, half and half: uint8 (H, W, 3) each."""
    return cv2.addWeighted(as_channels(photo, 3), 0.5, colors, 0.5, 0)


def draw_rows(
    path: str, title: str, headings: list[str], rows: list[Row], table: LabelTable
) -> None:
    """Draw rows of panels over a legend of all classes in them.

    Args:
        path: the picture to write (PNG).
        title: over all.
        headings: of the columns.
        rows: at least one.
        table: names and colours.
    """
    rows = [Row(r.title, [_to_panel(p) for p in r.pictures], r.classes) for r in rows]
    column = max(p.shape[1] for row in rows for p in row.pictures) + _GAP
    width = len(headings) * column - _GAP
    # Wide sheets are scaled down for display (in report.html), so their text is larger.
    zoom = max(1, width / _READABLE_WIDTH)
    line = round(_LINE * zoom)
    entries = _legend_entries(set.union(*(row.classes for row in rows)), table)
    if headings == HEADINGS:
        entries.append(("wrong", _WRONG))
    height = (
        2 * line
        + sum(line + row.height + _GAP for row in rows)
        + drawing.legend_height(entries, width, zoom)
    )
    sheet = width + 2 * _GAP, height + 2 * _GAP
    with drawing.canvas(path, *sheet, zoom) as canvas:
        top = _GAP
        canvas.text(_GAP, top, width, title, size=16, bold=True)
        top += line
        for number, heading in enumerate(headings):
            left = _GAP + number * column
            canvas.text(left, top, column, heading, size=13, bold=True)
        top += line
        for row in rows:
            canvas.text(_GAP, top, width, row.title, size=12)
            top += line
            for number, picture in enumerate(row.pictures):
                canvas.picture(_GAP + number * column, top, picture)
            top += row.height + _GAP
        canvas.legend(_GAP, top, width, entries)


def draw_legend(path: str, classes: set[int], table: LabelTable) -> None:
    """Draw the colours and names of classes alone."""
    entries = _legend_entries(classes, table)
    width = _MAX_WIDTH
    height = _LINE + drawing.legend_height(entries, width)
    with drawing.canvas(path, width + 2 * _GAP, height + 2 * _GAP) as canvas:
        canvas.text(_GAP, _GAP, width, "Classes", size=16, bold=True)
        canvas.legend(_GAP, _GAP + _LINE, width, entries)


def _legend_entries(classes: set[int], table: LabelTable):
    entries = [(table.names[c], tuple(table.colors[c])) for c in sorted(classes - {-1})]
    return entries + ([("unlabelled", None)] if -1 in classes else [])


def _to_panel(picture: np.ndarray) -> np.ndarray:
    """A small picture enlarged by a whole number, a large one shrunk to fit: uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    shrink = min(_MAX_WIDTH / width, _MAX_HEIGHT / height)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST_EXACT)
    factor = max(1, round(min(_MIN_WIDTH / width, shrink)))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
