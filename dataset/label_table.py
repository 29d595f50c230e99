"""The table of classes: which colour of a label picture is which class, and back."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from files.errors import UserError
from files.opencv import cv2

_MAX_TABLE_BYTES = 1 << 20
_BOOK_HEADER = ["r", "g", "b", "label"]


@dataclass(frozen=True)
class LabelTable:
    """Names and colours of the classes; the row number is the class number.

    Args:
        path (str): the file it came from, for messages.
        names (tuple of str): (n_class,).
        colors (ndarray): uint8 (n_class, 3), RGB.
        ignored (frozenset of int): classes that count as -1: not trained on, not scored.
    """

    path: str
    names: tuple[str, ...]
    colors: np.ndarray = field(repr=False)
    ignored: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _class_by_code(self) -> np.ndarray:
        # One entry for each of the 2^24 colours: 2 + class, 1 for an ignored class, 0 for a
        # colour of no class. calloc'd zeros cost no memory until touched.
        table = np.zeros(1 << 24, np.int16)
        table[_color_code(self.colors[None])] = 2 + self.hide_ignored(
            np.arange(len(self))
        )
        return table

    def classes_of_colors(self, picture: np.ndarray) -> tuple[np.ndarray, dict]:
        """Class numbers of a colour label.

        Args:
            picture (ndarray): uint8 (H, W, 3), RGB.

        Returns:
            tuple: int16 (H, W) class numbers, -1 where the class is ignored; and a dict of the
            colours that are in no row: {(r, g, b): pixels}.
        """
        code = _color_code(picture)
        found = self._class_by_code[code]
        if found.size == 0 or found.min() > 0:
            return found - np.int16(2), {}
        codes, pixels = np.unique(code[found == 0], return_counts=True)
        rgb = [(c & 255, c >> 8 & 255, c >> 16) for c in codes.tolist()]
        return found - np.int16(2), dict(zip(rgb, pixels.tolist(), strict=True))

    def colors_of_classes(self, classes: np.ndarray) -> np.ndarray:
        """Picture of class numbers: int (H, W) in [-1, n_class) -> uint8 (H, W, 3) RGB; -1 black."""
        colors = np.concatenate([self.colors, np.zeros((1, 3), np.uint8)])
        picture = np.empty((*classes.shape, 3), np.uint8)
        # Line by line: NumPy makes 8 bytes of each index, more than a huge photo itself takes.
        for line, numbers in zip(picture, classes, strict=True):
            np.take(colors, numbers, axis=0, out=line, mode="wrap")
        return picture

    def hide_ignored(self, classes: np.ndarray) -> np.ndarray:
        """Class numbers with those of ignored classes replaced by -1; same shape, int16."""
        kept = np.arange(-1, len(self), dtype=np.int16)
        for number in self.ignored:
            kept[number + 1] = -1
        return kept[classes + 1]


def _color_code(rgb: np.ndarray) -> np.ndarray:
    """One number a colour: uint8 (H, W, 3) -> int32 (H, W), red in the lowest byte."""
    # Four bytes read as one number: 5x faster than shifting three int32 arrays together.
    rgba = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2RGBA)
    return rgba.view("<i4")[..., 0] & 0xFFFFFF


def read_label_table(path: str | Path, ignore_labels: list[str] = ()) -> LabelTable:
    """Read a table of classes.

    Two formats are known: the book's CSV (a header ``r,g,b,label``, then ``64,128,64,Animal``)
    and CamSeq01's own (``64 128 64<TAB>Animal``, no header).

    Args:
        path: the file.
        ignore_labels: names of rows whose pixels are neither trained on nor scored.

    Raises:
        UserError: names the file and line of the first row that is wrong.
    """
    rows = [_parse_row(path, number, line) for number, line in _lines(path)]
    if not rows:
        raise UserError(
            f"{path}: the label table has no row; write one 'r,g,b,label' a class"
        )
    names = tuple(name for _, _, name in rows)
    colors = np.array([color for _, color, _ in rows], np.uint8)
    _refuse_repeats(path, rows)
    unknown = [name for name in ignore_labels if name not in names]
    if unknown:
        raise UserError(
            f"ignore_labels: {unknown[0]!r} is no class of {path}; "
            f"its classes are {', '.join(names)}"
        )
    ignored = frozenset(names.index(name) for name in ignore_labels)
    if len(ignored) == len(names):
        raise UserError(
            f"ignore_labels: every class of {path} is ignored; nothing is left to learn"
        )
    return LabelTable(str(path), names, colors, ignored)


def _lines(path: str | Path):
    """The numbered lines that hold a row."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_TABLE_BYTES + 1)
        if len(content) > _MAX_TABLE_BYTES:
            raise UserError(f"{path}: more than 1 MiB; this is no label table")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"label_path: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a text file in UTF-8 (byte {error.start})"
        ) from None
    for number, line in enumerate(text.splitlines(), 1):
        fields = [f.strip() for f in line.split(",")]
        if line.strip() and not (number == 1 and fields == _BOOK_HEADER):
            yield number, line


def _parse_row(path, number: int, line: str) -> tuple[int, tuple[int, int, int], str]:
    match = re.fullmatch(
        r"\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*[,\s]\s*(\S.*?)\s*",
        line,
        re.ASCII,
    )
    color = tuple(int(c) for c in match.groups()[:3]) if match else ()
    # Names are printed: control characters could write over the screen.
    if (
        not match
        or max(color) > 255
        or not re.fullmatch(r"[^\0-\x1f\x7f-\x9f]+", match[4])
    ):
        raise UserError(
            f"{path}, line {number}: {line.strip()[:80]!r} is no row of a label table; "
            "expected 'r,g,b,label' with r, g, b from 0 to 255"
        )
    return number, color, match.group(4)


def _refuse_repeats(path, rows) -> None:
    seen: dict = {}
    for number, color, name in rows:
        for what, key in (("colour", color), ("class name", name)):
            if key in seen:
                raise UserError(
                    f"{path}, line {number}: the {what} {key} stands in line {seen[key]} already"
                )
            seen[key] = number
    if len(rows) > np.iinfo(np.int16).max:
        raise UserError(
            f"{path}: {len(rows)} classes; at most {np.iinfo(np.int16).max} are possible"
        )
