"""Finds the labels that are masks of single objects, several for a photo; for pair_finder.py."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from files.errors import UserError
from preparing.file_names import File

_LEAST_FOLDERS = 3  # of masks: fewer may be labels whose names were mistaken
Pair = tuple[str, str]


def folders_of_masks(
    files: list[File], rest: list[File]
) -> tuple[list[Pair], list[File]]:
    """Photos with a folder of masks: beside them, or with their name.

    Args:
        files: all of the data set.
        rest: those that are in no pair yet.

    Returns:
        tuple: (photo, folder of masks), and the files that are still left over.
    """
    in_folder = defaultdict(list)
    for file in files:
        in_folder[file.folder].append(file)
    for find in (_masks_beside, _masks_of_one_name):
        pairs = [
            (photo.name, masks[0].folder)
            for photo, masks in find(in_folder, rest)
            if set(in_folder[masks[0].folder]) <= set(masks)
        ]
        if len(pairs) >= _LEAST_FOLDERS:
            photos, folders = map(set, zip(*pairs, strict=True))
            return pairs, [
                f for f in rest if f.name not in photos and f.folder not in folders
            ]
    return [], rest


def _masks_beside(
    in_folder: dict[str, list[File]], rest: list[File]
) -> Iterator[tuple[File, list[File]]]:
    """Photos that lie alone in a folder beside one of masks: ID/images/ID.png, ID/masks/*.png."""
    beside = defaultdict(list)
    for file in rest:
        beside[file.key[0]].append(file)
    for found in beside.values():
        photos = [file for file in found if not file.is_label]
        masks = [file for file in found if file.is_label]
        if len(photos) != 1 or len({file.folder for file in masks}) != 1:
            continue
        (photo,) = photos
        if photo.folder != masks[0].folder and len(in_folder[photo.folder]) == 1:
            yield photo, masks


def _masks_of_one_name(
    in_folder: dict[str, list[File]], rest: list[File]
) -> Iterator[tuple[File, list[File]]]:
    """Photos whose name is that of a folder of masks: images/ID.png, masks/ID/*.png."""
    photos = defaultdict(list)
    for file in rest:
        if not file.is_label:
            photos[file.as_folder].append(file)
    for masks in in_folder.values():
        found = photos[masks[0].key[0]]
        if len(found) == 1 and all(file.is_label for file in masks):
            yield found[0], masks


def refuse_numbered_masks(folder: str, pairs: list[Pair], files: list[File]) -> None:
    """Raise a UserError where further labels of a photo differ in a number: ID_0.png, ID_1.png.

    Not where the words in names tell which of them counts: 1_manual1.gif, 1_manual2.gif.

    Args:
        folder: the data set.
        pairs: (photo, label).
        files: all of the data set.
    """
    paired = set(chain(*pairs))
    others = [file for file in files if file.name not in paired]
    if not others:
        return
    keys = {file.key for file in files if file.name in paired and file.is_label}
    more = {_without_number(f.name): f.name for f in others if f.key not in keys}
    for photo, label in pairs:
        other = more.get(_without_number(label))
        name = os.path.splitext(photo.rpartition("/")[2])[0]
        if other and other.rpartition("/")[2].startswith(name):
            place = os.path.dirname(label) or "masks"
            raise UserError(
                f"{folder}: the photo {photo} has several labels, {label} and {other}; if each "
                f"shows one object, move those of a photo into a folder of its name, such as "
                f"{place}/{name}/; else say by --labels what the names of those to take hold"
            )


def _without_number(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return re.sub(r"[_\-. ]?\d+$", "", stem) + ending
