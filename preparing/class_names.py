"""Reads the names of classes where a data set has them in a table of its own; prepare.py calls it."""

import json
import os
import re

from files.errors import UserError, has_control_characters
from files.text_file import read_text
from preparing.file_names import find_files

_MOST_BYTES = 1 << 20
# CVAT's; those of CamVid, DeepGlobe and others at Kaggle; Roboflow's; LabelMe's and PaddleSeg's; nnU-Net's
# dataset.json, and Mapillary's config.json.
_TABLE = re.compile(
    r"labelmap\.txt|(label_)?class_dict(_seg)?\.csv|_classes\.csv|"
    r"class_names\.txt|labels\.txt|dataset\.json|config\.json"
)
# name:r,g,b:parts:actions | name,r,g,b | number, name
_WITH_COLOR = re.compile(r"([^,:#]+)[:,] *(\d{1,3}), *(\d{1,3}), *(\d{1,3}) *(:.*)?")
_WITH_NUMBER = re.compile(r"(\d{1,4}), *([^,]+)")
# Lines of names alone count from 0 if the first is one of these. Other lists leave the background out.
_FIRST = {"_background_", "background", "unlabeled", "unlabelled", "void"}

Key = int | tuple[int, int, int]


def find_class_names(folder: str) -> dict[Key, str]:
    """{number or (r, g, b): name of the class} of the first table that a data set has, in its order.

    Args:
        folder: the data set.
    """
    tables = (_read(os.path.join(folder, p)) for p in find_files(folder, _TABLE))
    return next(filter(None, tables), {})


def _read(path: str) -> dict[Key, str]:
    """The rows of a table; what is no row, such as a heading, is passed over."""
    try:
        text = read_text(path, "table of classes", _MOST_BYTES)
    except UserError:
        return {}
    if path.lower().endswith(".json"):
        return _names_in_json(text)
    lines = [line.strip() for line in text.splitlines()]
    if lines[:1] == ["__ignore__"]:  # LabelMe's number -1
        del lines[0]
    if lines and lines[0].lower() in _FIRST:
        return {n: name for n, name in enumerate(lines) if _is_name(name)}
    names: dict[Key, str] = {}
    for line in lines:
        if match := _WITH_COLOR.fullmatch(line):
            name, *color = match.groups()[:4]
            key = tuple(map(int, color))
        elif match := _WITH_NUMBER.fullmatch(line):
            key, name = int(match[1]), match[2]
        else:
            continue
        if _is_name(name):
            names.setdefault(key, name.strip())
    return names


def _names_in_json(text: str) -> dict[Key, str]:
    """nnU-Net's {"labels": {name: number}}, before its version 2 {number: name}; Mapillary's list."""
    try:
        labels = json.loads(text)["labels"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return {}
    if isinstance(labels, list):
        names = [label.get("readable") for label in labels if isinstance(label, dict)]
        pairs = list(enumerate(names))
    elif isinstance(labels, dict):
        pairs = [(n, k) if isinstance(n, int) else (k, n) for k, n in labels.items()]
    else:
        return {}
    return {
        int(number): name
        for number, name in pairs
        if re.fullmatch(r"\d{1,4}", str(number)) and _is_name(name)
    }


def _is_name(name) -> bool:
    return isinstance(name, str) and bool(name) and not has_control_characters(name)


def known_names(
    kind: str, colors: list[tuple], names: list[str], known: dict[Key, str]
) -> list[str]:
    """The names of classes by their colours or numbers, where a data set has them.

    Numbers may be those of the rows of a table of colours.

    Args:
        kind: of the labels; "numbers", "palette" or "colours".
        colors: of the classes.
        names: those that the classes have without a table.
        known: as find_class_names() gives them.
    """
    by_number = {key: name for key, name in known.items() if isinstance(key, int)}
    if kind in ("numbers", "palette"):
        known = by_number or dict(enumerate(known.values())) | known
        keys = range(len(colors))
    else:
        keys = colors
    found = [known.get(key, name) for key, name in zip(keys, names, strict=True)]
    return found if len(set(found)) == len(names) else names


def names_of_colors(colors: list[tuple]) -> list[str]:
    """Names for classes: background and foreground, where one is nearly black and one white."""
    if len(colors) == 2 and max(colors[0]) < 64 and min(colors[1]) > 191:
        return ["background", "foreground"]
    if all(len(set(color)) == 1 for color in colors):
        return [f"grey {color[0]}" for color in colors]
    return [f"class {number}" for number in range(len(colors))]


def is_no_class_name(name: str) -> bool:
    """Whether a row of the table would not give a name back: shapes of LabelMe have any text."""
    return name.strip().splitlines() != [name] or has_control_characters(name)
