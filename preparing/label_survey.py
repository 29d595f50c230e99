"""Reads all labels of a folder once, and tells how they are made; prepare.py calls it."""

import colorsys
import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from dataset.image_reader import read_picture
from dataset.label_reader import stored_label
from dataset.label_table import LabelTable
from dataset.labelme import labelme_names
from files.errors import UserError, has_control_characters
from files.progress_bar import progress_bar

_MAX_COLORS = 255
_VOID = {"void", "unlabelled", "unlabeled", "ignore"}  # names of what does not count
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
    """

    kind: str = ""
    pixels: Counter = field(default_factory=Counter)
    palette: np.ndarray | None = None
    sizes: Counter = field(default_factory=Counter)
    in_ch: int = 1


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
        kind, counts, palette = _counts(path, size)
        if found.kind not in ("", kind):
            raise UserError(
                f"{path}: a label of {kind}, but {os.path.join(folder, pairs[0][1])} is one of "
                f"{found.kind}; labels of one data set must be made alike"
            )
        found.kind = kind
        found.pixels.update(counts)
        if found.palette is None:
            found.palette = palette
        if kind == "colours" and len(found.pixels) > _MAX_COLORS:
            raise UserError(
                f"{path}: with it, the labels have more than {_MAX_COLORS} colours; they were "
                "smoothed or saved as JPEG; export them anew as PNG without smoothing"
            )
    return found


def _counts(path: str, size: tuple[int, int]) -> tuple[str, dict, np.ndarray | None]:
    if path.lower().endswith(".json"):
        return "shapes", Counter(labelme_names(path, size)), None
    label, palette = stored_label(path, size)
    if label.ndim == 2:
        values, pixels = np.unique(label, return_counts=True)
        counts = dict(zip(values.tolist(), pixels.tolist(), strict=True))
        return "numbers" if palette is None else "palette", counts, palette
    red, green, blue = np.moveaxis(label.astype(np.int32), 2, 0)
    codes, pixels = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    # One more than are allowed is enough to see that there are too many.
    codes = codes[: _MAX_COLORS + 1].tolist()
    colors = [(code >> 16, code >> 8 & 255, code & 255) for code in codes]
    return "colours", dict(zip(colors, pixels.tolist(), strict=False)), None


def classes_of(
    found: LabelSurvey, names: list[str], given: LabelTable | None
) -> tuple[list[tuple], dict]:
    """The rows (r, g, b, name) of the table of classes, and keys of the configuration.

    Args:
        found: the labels.
        names: of the classes in their order; may be empty.
        given: the table of classes that lies in the folder, if there is one.

    Raises:
        UserError: there are too few names, or a single class.
    """
    colors, keys, default_names = _rows(found, given)
    if names and len(names) != len(colors):
        raise UserError(
            f"--names: {len(names)} names for {len(colors)} classes ({found.kind} "
            f"{', '.join(map(str, sorted(found.pixels)[:12]))}); write one name for each class"
        )
    names = names or default_names
    if len(set(names)) < len(names) or any(map(has_control_characters, names)):
        raise UserError("--names: two names are alike, or one has a control character")
    if len(colors) < 2:
        raise UserError(
            "the labels have one class only; there is nothing to tell apart: label a second "
            "class, or the background"
        )
    void = [name for name in names if name.lower() in _VOID]
    if void and len(void) < len(names):
        keys["ignore_labels"] = void
    return [(*color, name) for color, name in zip(colors, names, strict=True)], keys


def _rows(found: LabelSurvey, given: LabelTable | None):
    if found.kind == "shapes":
        shapes = sorted(set(found.pixels) - {"__ignore__", "background"})
        names = ["background", *shapes]
        return _distinct(len(names)), {"background_label": "background"}, names
    if given is not None:
        return _rows_of_table(found, given)
    if found.kind == "colours":
        colors = sorted(found.pixels)
        return colors, {}, [f"class {n}" for n in range(len(colors))]
    values = sorted(found.pixels)
    classes = [value for value in values if 0 <= value != _NO_CLASS]
    if found.kind == "numbers" and _are_grey_levels(values):
        names = (
            ["background", "foreground"]
            if values == [0, 255]
            else [f"grey {value}" for value in values]
        )
        return [(v, v, v) for v in values], {"label_values": "grey_levels"}, names
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
    return colors, {}, [f"class {number}" for number in range(count)]


def _are_grey_levels(values: list[int]) -> bool:
    """Whether numbers are levels of grey rather than classes: 0 and 255, or 0, 128 and 255."""
    below = [value for value in values if value < _NO_CLASS]
    return values[-1] == _NO_CLASS and (len(below) < 2 or max(below) > 10 * len(values))


def _rows_of_table(found: LabelSurvey, given: LabelTable):
    colors = [tuple(color) for color in given.colors.tolist()]
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
