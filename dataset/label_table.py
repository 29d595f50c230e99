"""The table of classes: which colour or number of a label is which class, and back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from files.errors import UserError, has_control_characters
from files.opencv import cv2
from files.text_file import read_text

_MAX_TABLE_BYTES = 1 << 20
# The network's scores and the confusion matrix grow with it. ADE20K, the data set with the most
# classes that is commonly trained on, has 847.
_MAX_CLASSES = 1024
# Colours of no class that are told apart; a smoothed or noisy label has millions.
_MAX_UNKNOWN = 1000
_STRIPES = np.uint8(235), np.uint8(150)  # grey levels that hatch what is unlabelled
_COLORS = 1 << 12  # whose nearest rows are looked for at once, at 24 bytes for each row
_PART = 1 << 20  # pixels that are looked up at once, at about 20 bytes each
# Three numbers and a name, with a comma or white space between them.
_GAP = r"(?:\s*,\s*|\s+)"
_ROW = re.compile(
    rf"(\d{{1,3}}){_GAP}(\d{{1,3}}){_GAP}(\d{{1,3}}){_GAP}(\S.*)", re.ASCII
)
_BOOK_HEADER = ["r", "g", "b", "label"]


@dataclass(frozen=True)
class LabelTable:
    """Names and colours of the classes; the row number is the class number.

    Args:
        path (str): the file it came from, for messages.
        names (tuple of str): (n_class,).
        colors (ndarray): uint8 (n_class, 3), RGB.
        ignored (frozenset of int): classes that count as -1: not trained on, not scored.
        ignore_index (int): number in a label that counts as -1, too.
        label_values (str): "class_numbers" or "grey_levels": what a label of one channel holds; or
            "nearest_colors": a label holds colours or grey levels that were smoothed.
        background (int): class of the pixels that no shape of a LabelMe file covers, or -1.
    """

    path: str
    names: tuple[str, ...]
    colors: np.ndarray = field(repr=False)
    ignored: frozenset[int] = frozenset()
    ignore_index: int = 255
    label_values: str = "class_numbers"
    background: int = -1

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
            colours that are in no row, {(r, g, b): pixels}: the 1,000 most frequent ones. With
            nearest_colors there are none: each has the class whose colour is nearest.
        """
        found = np.empty(picture.shape[:2], np.int16)
        unknown = []
        rows = max(1, _PART // max(picture.shape[1], 1))
        for top in range(0, len(picture), rows):
            code = _color_code(picture[top : top + rows])
            part = self._class_by_code[code]
            if part.min() == 0 and self.label_values == "nearest_colors":
                self._add_nearest(np.unique(code[part == 0]))
                part = self._class_by_code[code]
            elif part.min() == 0:
                unknown.append(code[part == 0])
            found[top : top + rows] = part
        found -= 2
        if not unknown:
            return found, {}
        codes, pixels = np.unique(np.concatenate(unknown), return_counts=True)
        most = np.argsort(-pixels, kind="stable")[:_MAX_UNKNOWN]
        rgb = [(c & 255, c >> 8 & 255, c >> 16) for c in codes[most].tolist()]
        return found, dict(zip(rgb, pixels[most].tolist(), strict=True))

    def _add_nearest(self, codes: np.ndarray) -> None:
        """Let colours of no row, int32 (n,) codes, have the class of the nearest row in RGB."""
        rows = self.colors.astype(np.int32)
        for some in np.array_split(codes, range(_COLORS, len(codes), _COLORS)):
            colors = np.stack([some & 255, some >> 8 & 255, some >> 16], axis=1)
            distances = ((colors[:, None] - rows) ** 2).sum(axis=2)
            nearest = self.hide_ignored(distances.argmin(axis=1))
            self._class_by_code[some] = 2 + nearest

    def colors_of_classes(self, classes: np.ndarray) -> np.ndarray:
        """Picture of class numbers: int (H, W) in [-1, n_class) -> uint8 (H, W, 3) RGB.

        What is unlabelled (-1) is hatched: any single colour may be that of a class.
        """
        picture = np.empty((*classes.shape, 3), np.uint8)
        # Line by line: NumPy makes 8 bytes of each index, more than a huge photo itself takes.
        for line, numbers in zip(picture, classes, strict=True):
            np.take(self.colors, numbers, axis=0, out=line, mode="wrap")
        hatch(picture, classes < 0)
        return picture

    def hide_ignored(self, classes: np.ndarray) -> np.ndarray:
        """Class numbers with those of ignored classes replaced by -1; same shape, int16."""
        kept = np.arange(-1, len(self), dtype=np.int16)
        for number in self.ignored:
            kept[number + 1] = -1
        return kept[classes + 1]


def hatch(picture: np.ndarray, where: np.ndarray) -> None:
    """Draw grey diagonal stripes over a part of a picture: uint8 (H, W, 3); bool (H, W)."""
    # About 30 stripes in a picture of any size: it may be shown smaller.
    stripe = max(2, max(where.shape) // 60)
    for row, (line, hatched) in enumerate(zip(picture, where, strict=True)):
        columns = np.flatnonzero(hatched)
        if columns.size:
            light = (row + columns) // stripe % 2 == 0
            line[columns] = np.where(light, *_STRIPES)[:, None]


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
    if len(rows) > _MAX_CLASSES:
        raise UserError(
            f"{path}: {len(rows):,} classes; at most {_MAX_CLASSES:,} are possible: "
            "join classes, or check label_path"
        )
    names = tuple(name for _, _, name in rows)
    colors = np.array([color for _, color, _ in rows], np.uint8)
    _refuse_repeats(path, rows)
    return ignoring(LabelTable(str(path), names, colors), ignore_labels)


def ignoring(table: LabelTable, ignore_labels: list[str]) -> LabelTable:
    """A table in which the classes of these names do not count.

    Raises:
        UserError: a name is no class, or no class is left.
    """
    unknown = [name for name in ignore_labels if name not in table.names]
    if unknown:
        raise UserError(
            f"ignore_labels: {unknown[0]!r} is no class of {table.path}; "
            f"its classes are {', '.join(table.names)}"
        )
    ignored = frozenset(table.names.index(name) for name in ignore_labels)
    if len(ignored) == len(table):
        raise UserError(
            f"ignore_labels: every class of {table.path} is ignored; nothing is left to learn"
        )
    return replace(table, ignored=ignored)


def with_label_rules(
    table: LabelTable,
    ignore_index: int,
    label_values: str,
    background_label: str | None,
) -> LabelTable:
    """A table with the keys of the configuration that say how labels are meant.

    Raises:
        UserError: ignore_index is a class, or background_label is none.
    """
    if 0 <= ignore_index < len(table):
        name = table.names[ignore_index]
        raise UserError(
            f"ignore_index: {ignore_index} is the class {name!r} of {table.path}; if that class "
            f"does not count, write ignore_labels: [{name}]; in any case, set ignore_index to a "
            "number that is no class, or to -1"
        )
    if background_label is not None and background_label not in table.names:
        raise UserError(
            f"background_label: {background_label!r} is no class of {table.path}; "
            f"its classes are {', '.join(table.names)}"
        )
    background = table.names.index(background_label) if background_label else -1
    return replace(
        table,
        ignore_index=ignore_index,
        label_values=label_values,
        background=background,
    )


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that hold a row, with their numbers."""
    text = read_text(path, "label_path", _MAX_TABLE_BYTES)
    for number, line in enumerate(text.splitlines(), 1):
        fields = [f.strip() for f in line.split(",")]
        if line.strip() and not (number == 1 and fields == _BOOK_HEADER):
            yield number, line.strip()


def _parse_row(path, number: int, line: str) -> tuple[int, tuple[int, int, int], str]:
    match = _ROW.fullmatch(line)
    color = tuple(int(c) for c in match.groups()[:3]) if match else ()
    # Names are printed.
    if not match or max(color) > 255 or has_control_characters(match[4]):
        raise UserError(
            f"{path}, line {number}: {line[:80]!r} is no row of a label table; "
            "expected 'r,g,b,label' with r, g, b from 0 to 255"
        )
    return number, color, match[4]


def _refuse_repeats(path, rows) -> None:
    seen: dict = {}
    for number, color, name in rows:
        for what, key in (("colour", color), ("class name", name)):
            if key in seen:
                raise UserError(
                    f"{path}, line {number}: the {what} {key} stands in line {seen[key]} already"
                )
            seen[key] = number
