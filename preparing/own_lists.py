"""Reads the lists that a data set has of its own, which say what an image is for; splits.py calls it."""

import os
import re
from collections import defaultdict
from itertools import groupby

from dataset.file_finder import PICTURE_ENDINGS
from files.errors import UserError
from files.text_file import read_text
from preparing.file_names import find_files

_MOST_BYTES = 1 << 27
_LIST = re.compile(r"(train|val|valid|validation|trainval|test)(_?list)?\.txt")
# Of a name in two lists the last one counts: VOC's trainval.txt holds train.txt and val.txt.
_ORDER = ("trainval", "test", "val", "train")
_SHORT = {"valid": "val", "validation": "val"}
Sets = dict[str, str]  # {image: trainval, test, val or train}


def read_own_lists(folder: str, images: list[str]) -> tuple[Sets, str]:
    """What the images are for, by the lists in one folder of the data set; and that folder's name.

    Such as VOC's ImageSets/Segmentation/train.txt, or train_list.txt. A line begins with the name of
    an image, with or without its ending and its folders. Both are empty where no lists name any image
    to train on and any other.

    Args:
        folder: the data set.
        images: names of the photos that have a label, relative to it.
    """
    paths = [
        path
        for path in find_files(folder, _LIST)
        if not (_is_for_boxes(path) or _is_prepared(folder, path))
    ]
    for place, lists in groupby(paths, os.path.dirname):
        sets = _read_lists(folder, list(lists), images)
        if {"train", "trainval"} & {*sets.values()} and {"val", "test"} & {
            *sets.values()
        }:
            return sets, place or "the data set"
    return {}, ""


def _is_for_boxes(path: str) -> bool:
    """Whether a list is one of VOC's for another task: ImageSets/Main, Layout, Action."""
    *_, above, place, _ = ["", "", *path.split("/")]
    return above == "ImageSets" and place != "Segmentation"


def _is_prepared(folder: str, path: str) -> bool:
    """Whether a list was written by prepare.py: in my_lists/, or in my_lists/fold1/."""
    inside, end, _ = path.rpartition("_lists/")
    return bool(end) and os.path.isfile(
        os.path.join(folder, f"{inside}_lists", "label_color")
    )


def _read_lists(folder: str, lists: list[str], images: list[str]) -> Sets:
    named = defaultdict(
        list
    )  # stem of an image: paths without an ending, and what they are for
    for path in lists:
        what = _LIST.fullmatch(path.rpartition("/")[2].lower())[1]
        try:
            lines = read_text(
                os.path.join(folder, path), "list", _MOST_BYTES
            ).splitlines()
        except UserError:  # no text, so no list
            continue
        for name in {name for line in lines for name in _names(line)}:
            named[name.rpartition("/")[2]].append((name, _SHORT.get(what, what)))
    found = {}
    for image in images:
        path = _without_ending(image)
        fitting = [
            what
            for name, what in named.get(path.rpartition("/")[2], ())
            if f"/{path}".endswith(f"/{name}") or f"/{name}".endswith(f"/{path}")
        ]
        if fitting:
            found[image] = max(fitting, key=_ORDER.index)
    return found


def _names(line: str) -> set[str]:
    """What a line may name: all before a tab, or its first word, or all of it."""
    line = line.strip()
    parts = {line, line.partition("\t")[0], re.split(r"[\s,]", line, maxsplit=1)[0]}
    return {_without_ending(name.removeprefix(".").lstrip("/")) for name in parts}


def _without_ending(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in PICTURE_ENDINGS else name
