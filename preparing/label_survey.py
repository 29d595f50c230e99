"""Reads all labels of a folder once, and tells how they are made; prepare.py calls it."""

import colorsys
import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from dataset.image_reader import read_picture
from dataset.label_file import read_stored_label
from dataset.label_table import LabelTable
from dataset.labelme import labelme_names
from files.errors import UserError
from files.progress_bar import progress_bar
from preparing.class_names import Key, is_no_class_name, known_names, names_of_colors
from preparing.smoothed import Color, class_colors

_MAX_COLORS = 255
# Colours that are counted of one label, and of all: a label saved as JPEG has thousands.
_COUNTED, _KEPT = 4000, 20_000
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
# Names of what does not count.
_VOID = {"void", "unknown", "unlabelled", "unlabeled", "ignore"}
_NO_CLASS = 255  # the number that means "does not count" in most data sets


@dataclass
class LabelSurvey:
    """What the labels of a folder hold.

    Args:
        kind (str): "palette", "numbers", "colours" or "shapes" (LabelMe).
        pixels (Counter): {number, (r, g, b) or name of a shape: pixels, or shapes}.
        palette (ndarray or None): uint8 (n, 3), that of the first label with one.
        sizes (Counter): {(H, W): images}.
        in_ch (int): 3 if any image has colours, else 1.
        is_jpeg (bool): whether a label is a JPEG.
        uniform (dict): {label: its number}, where all pixels have the same.
        with_1_255 (dict): {(whether it holds 1, and 255): the first label of numbers that does so}.
        class_colors (list or None): the colours of the classes, where pixels have others near
            them: the labels were smoothed, or saved as JPEG.
    """

    kind: str = ""
    pixels: Counter = field(default_factory=Counter)
    palette: np.ndarray | None = None
    sizes: Counter = field(default_factory=Counter)
    in_ch: int = 1
    is_jpeg: bool = False
    uniform: dict[str, int] = field(default_factory=dict)
    with_1_255: dict[tuple[bool, bool], str] = field(default_factory=dict)
    class_colors: list[Color] | None = None


def survey_labels(folder: str, pairs: list[tuple[str, str]]) -> LabelSurvey:
    """Read pairs of image and label.

    Raises:
        UserError: a file is broken, a label has another size than its image, labels are made in
            different ways, or have more colours than classes can be.
    """
    found = LabelSurvey()
    for image, label in progress_bar(pairs, len(pairs), "image"):
        path = os.path.join(folder, label)
        picture = read_picture(os.path.join(folder, image))
        size = picture.shape[:2]
        found.sizes[size] += 1
        if picture.ndim == 3:
            found.in_ch = 3
        kind = _count(found, folder, label, size)
        if found.kind not in ("", kind):
            raise UserError(
                f"{path}: a label of {kind}, but {os.path.join(folder, pairs[0][1])} is one of "
                f"{found.kind}; labels of one data set must be made alike"
            )
        found.kind = kind
    _look_for_smoothing(found, os.path.join(folder, pairs[0][1]))
    return found


def _count(found: LabelSurvey, folder: str, label: str, size: tuple[int, int]) -> str:
    """Count the classes of a label; gives its kind."""
    path = os.path.join(folder, label)
    if path.lower().endswith(".json"):
        found.pixels.update(labelme_names(path, size))
        return "shapes"
    stored = read_stored_label(path, size)
    found.is_jpeg |= stored.is_jpeg
    if stored.pixels.ndim == 2:
        values, pixels = np.unique(stored.pixels, return_counts=True)
        found.pixels.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
        if len(values) == 1:
            found.uniform[label] = int(values[0])
        if stored.palette is None:
            found.with_1_255.setdefault((1 in values, 255 in values), label)
            return "numbers"
        if values[-1] >= len(stored.palette) and values[-1] != _NO_CLASS:
            raise UserError(
                f"{path}: pixels have the number {values[-1]}, but its palette has only "
                f"{len(stored.palette)} colours; save the label anew"
            )
        if found.palette is None:
            found.palette = stored.palette
        return "palette"
    red, green, blue = np.moveaxis(stored.pixels.astype(np.int32), 2, 0)
    codes, pixels = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    most = np.argsort(-pixels, kind="stable")[:_COUNTED]
    found.pixels.update(
        {
            (code >> 16, code >> 8 & 255, code & 255): count
            for code, count in zip(codes[most].tolist(), pixels[most].tolist())
        }
    )
    if len(found.pixels) > 2 * _KEPT:
        found.pixels = Counter(dict(found.pixels.most_common(_KEPT)))
    return "colours"


def _look_for_smoothing(found: LabelSurvey, example: str) -> None:
    """Set class_colors where pixels have more colours than there are classes.

    Raises:
        UserError: there are too many colours, of which none are those of classes.
    """
    if found.kind == "colours":
        found.class_colors = class_colors(found.pixels, found.is_jpeg)
    elif found.kind == "numbers" and max(found.pixels) <= 255:
        grey = Counter({(v, v, v): n for v, n in found.pixels.items()})
        found.class_colors = class_colors(grey, found.is_jpeg)
    if found.class_colors:
        return
    if found.is_jpeg:
        raise UserError(
            f"{example}: JPEG has changed the values of the labels, and they are not near the "
            "colours of a few classes; export the labels anew as PNG"
        )
    if found.kind == "colours" and len(found.pixels) > _MAX_COLORS:
        raise UserError(
            f"{example} and the other labels have more than {_MAX_COLORS} colours, which are not "
            "near those of a few classes; are they photos? Else export them anew as PNG "
            "without smoothing"
        )


def classes_of(
    found: LabelSurvey,
    names: list[str],
    given: LabelTable | None,
    known: dict[Key, str] | None = None,
) -> tuple[list[tuple], dict]:
    """The rows (r, g, b, name) of the table of classes, and keys of the configuration.

    Args:
        found: the labels.
        names: of the classes in their order; may be empty.
        given: the table of classes that lies in the folder, if there is one.
        known: names that the data set has elsewhere, as find_class_names() gives them.

    Raises:
        UserError: there are too few names, or a single class, or a name that no table can hold.
    """
    colors, keys, default_names = _rows(found, given)
    if names and len(names) != len(colors):
        raise UserError(
            f"--names: {len(names)} names for {len(colors)} classes ({found.kind} "
            f"{', '.join(map(str, sorted(found.pixels)[:12]))}); write one name for each class"
        )
    if known and not given and found.kind != "shapes":
        default_names = known_names(found.kind, colors, default_names, known)
    names = names or default_names
    bad = next(filter(is_no_class_name, names), None)
    if bad is not None:
        raise UserError(
            f"the class name {bad!r} cannot stand in a table of classes: it is empty, begins or "
            "ends with a blank, or holds a control character; change it in the labels, or give "
            "--names"
        )
    if len(set(names)) < len(names):
        raise UserError("--names: two names are alike")
    if len(colors) < 2:
        raise UserError(
            "the labels have one class only; there is nothing to tell apart: label a second "
            "class, or the background"
        )
    void = [name for name in names if name.lower() in _VOID]
    if void and len(void) < len(names):
        keys["ignore_labels"] = void
    return [(*color, name) for color, name in zip(colors, names, strict=True)], keys


def two_kinds_of_masks(found: LabelSurvey) -> str:
    """What to say where some labels hold 0 and 1, and others 0 and 255; else "".

    255 may not count, but then a label with both 1 and 255 is likely.
    """
    if set(found.pixels) != {0, 1, 255} or (True, True) in found.with_1_255:
        return ""
    one, white = found.with_1_255[True, False], found.with_1_255[False, True]
    return (
        f"; 255, which {white} holds, does not count: if it is the foreground there, as 1 is in "
        f"{one}, save the labels alike"
    )


def labels_without_a_class(found: LabelSurvey, keys: dict) -> set[str]:
    """The labels in which no pixel counts, as Cityscapes has them for the photos of its test.

    Args:
        found: the labels.
        keys: of the configuration, as classes_of() gives them.
    """
    if "label_values" in keys:  # 255 is white there, which is a class
        return set()
    ignored = keys.get("ignore_index", _NO_CLASS)
    return {label for label, number in found.uniform.items() if number == ignored}


def _rows(found: LabelSurvey, given: LabelTable | None):
    if found.kind == "shapes":
        shapes = sorted(set(found.pixels) - {"__ignore__", "background"})
        names = ["background", *shapes]
        return _distinct(len(names)), {"background_label": "background"}, names
    if found.class_colors:
        colors, names = found.class_colors, None
        if given is not None and found.kind == "colours":
            colors, names = _colors_of(given), list(given.names)
        keys = {"label_values": "nearest_colors"}
        return colors, keys, names or names_of_colors(colors)
    if given is not None:
        return _rows_of_table(found, given)
    if found.kind == "colours":
        colors = sorted(found.pixels)
        return colors, {}, names_of_colors(colors)
    values = sorted(found.pixels)
    classes = [value for value in values if 0 <= value != _NO_CLASS]
    if found.kind == "numbers" and _are_grey_levels(values):
        colors = [(v, v, v) for v in values]
        return colors, {"label_values": "grey_levels"}, names_of_colors(colors)
    count = max(classes, default=0) + 1
    if count > _MAX_COLORS:
        raise UserError(
            f"class numbers up to {count - 1}: at most {_MAX_COLORS} classes are prepared"
        )
    colors = _distinct(count)
    if found.palette is not None:
        own = [tuple(color) for color in found.palette[:count].tolist()]
        if len(set(own)) == count:
            colors = own
    names = [f"class {number}" for number in range(count)]
    if colors == [_BLACK, _WHITE]:
        names = names_of_colors(colors)
    return colors, {}, names


def _colors_of(table: LabelTable) -> list[Color]:
    return [tuple(color) for color in table.colors.tolist()]


def _are_grey_levels(values: list[int]) -> bool:
    """Whether numbers are levels of grey rather than classes: 0 and 255, or 0, 128 and 255."""
    below = [value for value in values if value < _NO_CLASS]
    return values[-1] == _NO_CLASS and (len(below) < 2 or max(below) > 10 * len(values))


def _rows_of_table(found: LabelSurvey, given: LabelTable):
    colors = _colors_of(given)
    if found.kind == "colours":
        unknown = sorted(set(found.pixels) - set(colors))
        if unknown:
            raise UserError(
                f"{given.path}: the labels have {found.pixels[unknown[0]]:,} pixels of the colour "
                f"{unknown[0]}, which is in no row; add it"
            )
        return colors, {}, list(given.names)
    outside = [v for v in found.pixels if v >= len(given) and v != _NO_CLASS]
    if len(outside) > 1 or (outside and _NO_CLASS in found.pixels):
        raise UserError(
            f"{given.path}: has {len(given)} rows, but the labels have the numbers "
            f"{sorted(outside)[:5]} ({found.pixels[outside[0]]:,} pixels of {outside[0]}); add "
            "their rows"
        )
    keys = {"ignore_index": outside[0]} if outside else {}
    return colors, keys, list(given.names)


def _distinct(count: int) -> list[tuple[int, int, int]]:
    """Colours that can be told apart: black, then hues by the golden ratio in two lights."""
    hues = (
        colorsys.hsv_to_rgb(n * 0.618034 % 1, 0.85, (1, 0.7)[n % 2])
        for n in range(count - 1)
    )
    return [(0, 0, 0), *(tuple(round(255 * part) for part in hue) for hue in hues)]
