"""Reads the names of classes where a data set has them in a table of its own; prepare.py calls it."""

import os
import re

from files.errors import UserError, has_control_characters
from files.text_file import read_text

_MOST_BYTES = 1 << 20
# Names of such files: CVAT's, those of CamVid and DeepGlobe at Kaggle, Roboflow's.
_FILES = ("labelmap.txt", "class_dict.csv", "class_dict_seg.csv", "_classes.csv")
_FOLDERS = ("", "train", "training", "valid", "val")
# name:r,g,b:parts:actions | name,r,g,b | number, name
_WITH_COLOR = re.compile(r"([^,:#]+)[:,] *(\d{1,3}), *(\d{1,3}), *(\d{1,3}) *(:.*)?")
_WITH_NUMBER = re.compile(r"(\d{1,4}), *([^,]+)")

Key = int | tuple[int, int, int]


def find_class_names(folder: str) -> dict[Key, str]:
    """{number or (r, g, b): name of the class} of the first table that a data set has, in its order.

    Args:
        folder: the data set.
    """
    for inside in _FOLDERS:
        for name in _FILES:
            path = os.path.join(folder, inside, name)
            if os.path.isfile(path):
                return _read(path)
    return {}


def _read(path: str) -> dict[Key, str]:
    """The rows of a table; what is no row, such as a heading, is passed over."""
    try:
        lines = read_text(path, "table of classes", _MOST_BYTES).splitlines()
    except UserError:
        return {}
    names: dict[Key, str] = {}
    for line in map(str.strip, lines):
        if match := _WITH_COLOR.fullmatch(line):
            name, *color = match.groups()[:4]
            key = tuple(map(int, color))
        elif match := _WITH_NUMBER.fullmatch(line):
            key, name = int(match[1]), match[2]
        else:
            continue
        if not has_control_characters(name):
            names.setdefault(key, name.strip())
    return names
