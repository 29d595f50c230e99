"""Reads a label, whatever its format, as class numbers.

dataset.pair_reader reads the labels of a list with it; config.py the classes of a palette, where
there is no table.
"""

import os

import numpy as np

from dataset.label_file import (
    StoredLabel,
    count_numbers,
    read_label_picture,
    read_stored_label,
)
from dataset.label_table import LabelTable
from dataset.labelme import read_labelme
from files.errors import UserError
from files.opencv import cv2

_JPEG = (
    "a JPEG changes colours and numbers; export the label anew as PNG, or, if it holds colours or "
    "grey levels of the table, write label_values: nearest_colors"
)


class UnknownColors(UserError):
    """A label has colours of no class.

    Attributes:
        pixels (dict): {(r, g, b): number of pixels}.
    """

    def __init__(self, sentence: str, pixels: dict[tuple[int, int, int], int]):
        super().__init__(sentence)
        self.pixels = pixels


def read_label(path: str, table: LabelTable, size: tuple[int, int]) -> np.ndarray:
    """The label of an image.

    Colours are looked up in the table; the numbers of the book's npz are classes, and so are
    those of a picture of one channel, unless the table takes them for grey levels. A PNG or GIF with a
    palette counts as colours if its whole palette is in the table; if not, its indices are the
    classes. LabelMe's JSON names them.

    Args:
        path: the label file.
        table: the classes, and how labels give them.
        size: (H, W) of the image.

    Returns:
        ndarray: int16 (H, W), values in [-1, n_class); -1 where the class is ignored.

    Raises:
        UserError: the label is broken, of another size, or has a colour or number of no class.
    """
    if path.endswith(".json"):
        return read_labelme(path, table, size)
    stored = read_stored_label(path, size)
    if stored.palette is not None:
        return _classes_of_palette(path, stored.pixels, stored.palette, table)
    # The book's npz may hold numbers of any kind, but never grey levels.
    is_numbers = stored.pixels.ndim == 2 and (
        path.endswith(".npz") or table.label_values == "class_numbers"
    )
    if not is_numbers:
        return _classes_of_colors(path, stored, table)
    if stored.is_jpeg:
        raise UserError(f"{path}: {_JPEG}")
    return _classes_of_numbers(path, stored.pixels, table)


def _classes_of_colors(path: str, stored: StoredLabel, table: LabelTable) -> np.ndarray:
    """(H, W, 3) colours or (H, W) grey levels -> int16 (H, W)."""
    label = stored.pixels
    if label.dtype != np.uint8:
        raise UserError(f"{path}: a label of colours must have 8 bits a channel")
    if label.ndim == 2:
        label = cv2.cvtColor(stored.grey_levels, cv2.COLOR_GRAY2RGB)
    classes, unknown = table.classes_of_colors(label)
    if unknown:
        (color, pixels), *others = sorted(unknown.items(), key=lambda item: -item[1])
        more = f" (and {len(others)} more unknown colours)" if others else ""
        way_out = "add the row, or, if the label was smoothed, write label_values: nearest_colors"
        raise UnknownColors(
            f"{path}: the colour {color[0]},{color[1]},{color[2]} of {pixels} pixels{more} is in "
            f"no row of {table.path}; {_JPEG if stored.is_jpeg else way_out}",
            unknown,
        )
    return classes


def _classes_of_numbers(
    path: str, numbers: np.ndarray, table: LabelTable
) -> np.ndarray:
    """Whole numbers (H, W) -> int16 (H, W)."""
    _refuse_numbers_outside(path, numbers, table)
    classes = numbers.astype(np.int16)
    # A number that is no class and passed the check does not count.
    classes[numbers == table.ignore_index] = -1
    return table.hide_ignored(classes)


def _refuse_numbers_outside(path: str, label: np.ndarray, table: LabelTable) -> None:
    if label.min() >= -1 and label.max() < len(table):
        return
    outside = label[(label < -1) | (label >= len(table))]
    outside = outside[outside != table.ignore_index]
    if not outside.size:
        return
    number = int(outside.max())
    sentence = (
        f"{path}: class number {number} of {int((outside == number).sum())} pixels is outside "
        f"the table {table.path}, which has the classes 0 to {len(table) - 1}"
    )
    if (table.colors == number).all(axis=1).any():
        sentence += (
            f"; as the table has the colour {number},{number},{number}, the label may hold grey "
            "levels: write label_values: grey_levels"
        )
    elif 0 <= number < 1 << 16:
        sentence += (
            f"; add its row, or, if it does not count, write ignore_index: {number}"
        )
    raise UserError(sentence)


def _classes_of_palette(
    path: str, indices: np.ndarray, colors: np.ndarray, table: LabelTable
) -> np.ndarray:
    used = np.flatnonzero(count_numbers(indices))
    missing = used[(used >= len(colors)) & (used != table.ignore_index)]
    if missing.size:
        raise UserError(
            f"{path}: pixels have the number {missing[0]}, but its palette has only "
            f"{len(colors)} colours; save the label anew"
        )
    entries = np.union1d(np.arange(_length(colors)), used[used < len(colors)])
    shared = entries[entries < len(table)]
    in_order = np.array_equal(colors[shared], table.colors[shared])
    unknown = colors[entries][~_are_rows(colors[entries], table.colors)]
    if not in_order and not unknown.size:
        classes = np.full(256, -1, np.int16)
        classes[: len(colors)] = table.classes_of_colors(colors[None])[0][0]
        return cv2.LUT(indices, classes)
    try:
        return _classes_of_numbers(path, indices, table)
    except UserError as error:
        if not unknown.size:
            raise
        red, green, blue = unknown[0]
        raise UserError(
            f"{error}. The numbers of its palette count as classes because its colour "
            f"{red},{green},{blue} is in no row of the table"
        ) from None


def _length(colors: np.ndarray) -> int:
    """Colours in a palette, without the black by which some programs fill it up."""
    return int(np.flatnonzero(colors.any(axis=1)).max(initial=0)) + 1


def _are_rows(colors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which colours (n, 3) are among others (m, 3): bool (n,)."""
    return (colors[:, None] == rows).all(axis=2).any(axis=1)


def palette_table(path: str, n_class: int | None) -> LabelTable:
    """The classes of a label with a palette: class i has the palette's colour i.

    Args:
        path: a PNG with a palette.
        n_class: how many classes there are; all colours of the palette, if not given.

    Raises:
        UserError: the file has no palette, or one with fewer colours, or two that are alike.
    """
    colors = read_label_picture(path).palette
    if colors is None:
        raise UserError(
            f"label_path: the key is missing; only labels that are PNG files with a palette do "
            f"without a table of classes, and {path} has no palette"
        )
    n_class = n_class or _length(colors)
    if n_class > len(colors):
        raise UserError(
            f"n_class: {n_class} is more than the {len(colors)} colours in the palette of {path}; "
            "write a table of classes, and its name to label_path"
        )
    if n_class > 255:
        raise UserError(
            f"n_class: the key is missing, and the palette of {path} has {n_class} colours; "
            "write how many of them are classes"
        )
    colors = colors[:n_class]
    if len(np.unique(colors, axis=0)) < n_class:
        raise UserError(
            f"{path}: two of the first {n_class} colours of its palette are alike; set n_class to "
            "the number of classes, or write a table of classes, and its name to label_path"
        )
    names = tuple(f"class {number}" for number in range(n_class))
    return LabelTable(path, names, colors)


def holds_only_0_and_255(path: str) -> bool:
    """Whether a label is a picture of one channel without any other value, and has a 255."""
    if path.endswith((".npz", ".json")) or os.path.isdir(path):
        return False
    label, palette, _, bits = read_label_picture(path)
    if palette is not None or label.ndim == 3 or bits < 8:
        return False
    return bool(((label == 0) | (label == 255)).all() and label.max() == 255)
