"""Reads the shapes that LabelMe stores as JSON, and paints them as class numbers; for label_reader.

A pixel belongs to a shape if its centre does. Coordinates are pixels, x to the right and y down
from the upper left corner of the image, as LabelMe has them.
"""

import base64
import contextlib
import math
import threading
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, FailFast, Field, ValidationError

from dataset.image_reader import decode
from dataset.label_table import LabelTable
from dataset.picture_header import checked_picture
from files.errors import UserError, printable
from files.text_file import regular_size

# The file may hold the image as well, in base64.
MAX_BYTES = 1 << 24
_MAX_SHAPES = 20_000
# Of all shapes together; a point takes 200 bytes, 50 times as much memory as text.
_MAX_POINTS = 1 << 18
# What is no point takes 40 times as much as text: of larger files, one is parsed at a time.
_LARGE = 1 << 20
_large_file = threading.Lock()
# Pixels of all shapes' frames and crossings of their edges with rows, together: some seconds.
_MAX_WORK = 1 << 30
_MAX_CROSSINGS = 1 << 22  # of one shape, at about 60 bytes each
# Pixels, as LabelMe's own shape_to_mask has them.
_LINE_WIDTH, _POINT_RADIUS = 10, 5
_IGNORED = "__ignore__"  # LabelMe's name for what does not count

_Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]


class _Shape(BaseModel):
    label: str
    points: Annotated[list[tuple[_Coordinate, _Coordinate]], FailFast()]
    shape_type: Literal[
        "polygon", "rectangle", "circle", "line", "linestrip", "point", "mask"
    ] = "polygon"
    mask: str | None = None
    line_width: Annotated[float, Field(gt=0, le=1e4)] = _LINE_WIDTH


class _LabelMe(BaseModel):
    shapes: Annotated[list[_Shape], Field(max_length=_MAX_SHAPES), FailFast()]
    imageHeight: int | None = None
    imageWidth: int | None = None


def read_labelme(path: str, table: LabelTable, size: tuple[int, int]) -> np.ndarray:
    """The label of an image, its shapes painted in the order of the file.

    Args:
        path: the JSON file.
        table: the classes; what no shape covers is table.background.
        size: (H, W) of the image.

    Returns:
        ndarray: int16 (H, W), values in [-1, n_class); -1 where the class is ignored.

    Raises:
        UserError: the file is not LabelMe's or broken, of an image of another size, or names a
            class that is not in the table.
    """
    content = _parse(path)
    _refuse_other_size(path, content, size)
    classes = np.full(size, table.background, np.int16)
    numbers = {name: number for number, name in enumerate(table.names)}
    numbers[_IGNORED] = -1
    for place, shape in enumerate(content.shapes, 1):
        if shape.label not in numbers:
            raise UserError(
                f"{_described(path, place, shape)} is of no class in {table.path}; add the row, "
                f"or name the shape {_IGNORED} if it does not count"
            )
    for shape, frame, mask in _painted(path, content, size):
        classes[frame][mask] = numbers[shape.label]
    return table.hide_ignored(classes)


def labelme_names(path: str, size: tuple[int, int]) -> list[str]:
    """The class of each shape of a file of LabelMe, all of which can be painted.

    Args, Raises: as read_labelme().
    """
    content = _parse(path)
    _refuse_other_size(path, content, size)
    for _ in _painted(path, content, size):
        pass
    return [shape.label for shape in content.shapes]


def _painted(path: str, content: _LabelMe, size: tuple[int, int]):
    """The shapes in their order, each part of one with its frame and which pixels of it are covered."""
    work = 0
    for place, shape in enumerate(content.shapes, 1):
        where = _described(path, place, shape)
        for frame, polygon in _outlines(where, shape, size):
            work += _work(frame, polygon)
            if work > _MAX_WORK:
                raise UserError(f"{path}: its shapes are too many, or too large")
            if polygon is not None:
                yield shape, frame, _inside(frame, polygon)
            elif shape.shape_type == "mask":
                yield shape, frame, _stored_mask(where, frame, shape)
            else:
                yield shape, frame, _disc(frame, shape)


def _described(path: str, place: int, shape: _Shape) -> str:
    return f"{path}: shape {place} ({printable(shape.label[:80])!r})"


def _refuse_other_size(path: str, content: _LabelMe, size: tuple[int, int]) -> None:
    claimed = content.imageHeight or size[0], content.imageWidth or size[1]
    if claimed != tuple(size):
        raise UserError(
            f"{path}: the label is {claimed[1]} x {claimed[0]} pixels, "
            f"its image {size[1]} x {size[0]} (width x height); draw the shapes on this image, or "
            "correct imageWidth and imageHeight"
        )


def _parse(path: str) -> _LabelMe:
    try:
        size = regular_size(path, "label")
        if size > MAX_BYTES:
            raise UserError(
                f"{path}: larger than {MAX_BYTES >> 20} MiB; save it without the image in it "
                "(LabelMe's option --nodata)"
            )
        with _large_file if size > _LARGE else contextlib.nullcontext():
            with open(path, "rb") as file:
                content = file.read()
            if content.count(b"[") > _MAX_POINTS:
                raise UserError(
                    f"{path}: more than {_MAX_POINTS:,} points; draw its shapes more simply"
                )
            return _LabelMe.model_validate_json(content)
    except OSError as error:
        raise UserError(f"{path}: cannot read the label: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Lists count from 0, people from 1.
        place = ".".join(str(p + 1 if isinstance(p, int) else p) for p in first["loc"])
        raise UserError(
            f"{path}: not a file of LabelMe that can be read: "
            f"{printable(place + ': ' if place else '')}{printable(first['msg'])}"
        ) from None


def _outlines(where: str, shape: _Shape, size: tuple[int, int]):
    """The parts of a shape: its frame within the image (two slices), and a polygon (n, 2) of x, y.

    The polygon of a circle, a point or a mask is None.
    """
    points = np.array(shape.points, np.float64).reshape(-1, 2)
    kind, count = shape.shape_type, len(points)
    least = {"polygon": 3, "point": 1}.get(kind, 2)
    if count < least or (
        kind in ("circle", "line", "point", "mask") and count != least
    ):
        raise UserError(
            f"{where}: a {kind} of {count} points; it needs "
            f"{least}{' or more' if kind in ('polygon', 'linestrip') else ''}"
        )
    if kind == "mask":
        yield _frame_of_mask(where, shape, size), None
        return
    if kind in ("circle", "point"):
        radius = _radius(shape)
        yield _frame(np.array([points[0] - radius, points[0] + radius]), size), None
        return
    if kind in ("line", "linestrip"):
        polygons = [_thick_line(a, b, shape.line_width) for a, b in pairwise(points)]
    elif kind == "rectangle" and count == 2:
        (left, top), (right, bottom) = points
        polygons = [
            np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        ]
    else:
        polygons = [points]
    for polygon in polygons:
        yield _frame(polygon, size), polygon


def _thick_line(start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """The corners (4, 2) of a line from one point to another, cut off straight at its ends."""
    direction = (end - start) / max(math.dist(start, end), 1e-9)
    aside = direction[::-1] * (-width / 2, width / 2)
    return np.array([start + aside, end + aside, end - aside, start - aside])


def _frame(points: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of an image in which a shape lies."""
    limits = size[1], size[0]
    first = np.clip(np.floor(points.min(axis=0)), 0, limits).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)), first, limits).astype(int)
    return slice(first[1], last[1]), slice(first[0], last[0])


def _work(frame: tuple[slice, slice], polygon: np.ndarray | None) -> int:
    rows, columns = (part.stop - part.start for part in frame)
    if polygon is None:
        return rows * columns
    crossings = int(_crossed(frame, polygon)[1].sum())
    if crossings > _MAX_CROSSINGS:
        return _MAX_WORK + 1
    return rows * columns + 16 * crossings


def _disc(frame: tuple[slice, slice], shape: _Shape) -> np.ndarray:
    """Which pixels of a frame lie in a circle or point of LabelMe's."""
    centre = shape.points[0]
    x, y = _centres(frame[1]) - centre[0], _centres(frame[0]) - centre[1]
    return x * x + (y * y)[:, None] <= _radius(shape) ** 2


def _radius(shape: _Shape) -> float:
    """Of a circle: its centre and a point of its rim; or of a point."""
    if shape.shape_type == "point":
        return _POINT_RADIUS
    return math.dist(*shape.points)


def _frame_of_mask(
    where: str, shape: _Shape, size: tuple[int, int]
) -> tuple[slice, slice]:
    (left, top), (right, bottom) = np.array(shape.points).astype(int).tolist()
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise UserError(f"{where}: a mask that leaves the image")
    return slice(top, bottom + 1), slice(left, right + 1)


def _stored_mask(where: str, frame: tuple[slice, slice], shape: _Shape) -> np.ndarray:
    """Which pixels of a frame are set in the PNG that LabelMe stores in base64: bool (h, w)."""
    try:
        content = base64.b64decode(shape.mask or "", validate=True)
    except ValueError:
        raise UserError(f"{where}: its 'mask' is not in base64") from None
    content, size = checked_picture(where, content)
    height, width = (part.stop - part.start for part in frame)
    # Before it is decoded: a few bytes may hold a picture far larger than the image.
    mask = decode(where, content) if size == (height, width) else None
    if mask is None or mask.shape[:2] != (height, width):
        raise UserError(f"{where}: its 'mask' is not {width} x {height} pixels large")
    return np.atleast_3d(mask).max(axis=2) > 0


def _centres(part: slice) -> np.ndarray:
    return np.arange(part.start, part.stop) + 0.5


def _crossed(frame, polygon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row whose centres each edge of a polygon crosses, and how many: int (n,) each."""
    rows = frame[0]
    y = np.stack([polygon[:, 1], np.roll(polygon[:, 1], -1)])
    first, end = np.ceil(y - 0.5).clip(rows.start, rows.stop).astype(int)
    return np.minimum(first, end), np.abs(end - first)


def _inside(frame: tuple[slice, slice], polygon: np.ndarray) -> np.ndarray:
    """Which pixels of a frame have their centre in a polygon, by the even-odd rule: bool (h, w)."""
    rows, columns = frame
    first, count = _crossed(frame, polygon)
    edge = np.repeat(np.arange(len(polygon)), count)
    # Rows first, first + 1... of each edge that crosses any.
    row = (
        np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    )
    start, end = polygon, np.roll(polygon, -1, axis=0)
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope
    # Each crossing turns all pixels to its right from outside to inside, or back.
    height, width = rows.stop - rows.start, columns.stop - columns.start
    column = np.ceil(x - 0.5).astype(int).clip(columns.start, columns.stop)
    turns = np.zeros((height, width + 1), bool)
    np.logical_xor.at(turns, (row - rows.start, column - columns.start), True)
    return np.logical_xor.accumulate(turns, axis=1)[:, :width]
