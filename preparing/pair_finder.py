"""Finds photos and their labels in a folder by their names; prepare.py calls it."""

import os
import re
from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

from dataset.file_finder import LABEL_ENDINGS, PICTURE_ENDINGS
from files.errors import UserError, has_control_characters

# What stands behind the name of a photo in that of its label. Of several labels of a photo, the
# first of this list is taken: Cityscapes has four.
_LABEL_SUFFIXES = (
    *("_gtfine_labeltrainids", "_gtcoarse_labeltrainids", "_labeltrainids"),
    *("_l", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation"),
    *("_annotation", "_groundtruth", "_matte", "-mask", "-label", ".mask", "_lab"),
    *("_gtfine_labelids", "_gtcoarse_labelids", "_labelids"),
)
_IMAGE_SUFFIXES = ("_leftimg8bit", "_image", "_img", "_photo", "_sat", "_rgb")
# Pictures of other things that lie beside labels: numbers of objects, colours to look at.
_OTHER = re.compile(
    r"(instanceids|_color|_polygons|instance|object)$|^segmentationobject$"
)
# Names of folders, in small letters and without - and _. What remains of a name when one of them
# is taken away must agree in photo and label: train and trainannot.
_LABEL_FOLDER = re.compile(
    "segmentationclass(aug|raw|png)?|annotations?|annot|anndir|masks?|labels?|gtfine|gtcoarse|"
    "groundtruth|gt|segmentations?"
)
_IMAGE_FOLDER = re.compile(
    "jpegimages|leftimg8bit|images?|imgdir|imgs?|photos?|pictures?"
)


class FoundPairs(NamedTuple):
    """What lies in a folder; names are relative to it, with / between folders.

    Args:
        pairs (list): (image, label), in the order of the names of the images.
        images_alone (list of str): photos without a label.
        labels_alone (list of str): labels without a photo.
    """

    pairs: list[tuple[str, str]]
    images_alone: list[str]
    labels_alone: list[str]


class _File(NamedTuple):
    name: str
    is_label: bool
    rank: int  # of several labels of a photo, the lowest is taken
    key: tuple[str, str]  # agrees in a photo and its label


def find_pairs(folder: str) -> FoundPairs:
    """Pair the photos and labels below a folder.

    Raises:
        UserError: there is no such folder, or no pair in it.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder")
    files = [file for name in _names(folder) if (file := _described(name))]
    images, labels = defaultdict(list), defaultdict(list)
    for file in files:
        (labels if file.is_label else images)[file.key].append(file)
    pairs, images_alone = [], []
    for key, found in images.items():
        if key in labels and len(found) == 1:
            label = min(labels.pop(key), key=lambda file: (file.rank, file.name))
            pairs.append((found[0].name, label.name))
        else:
            images_alone += [file.name for file in found]
    labels_alone = [file.name for found in labels.values() for file in found]
    if not pairs:
        raise UserError(
            f"{folder}: no photo with a label among {len(images_alone):,} photos and "
            f"{len(labels_alone):,} labels{_examples(images_alone, labels_alone)}; name a label "
            "like its photo (NAME_L.png or NAME_mask.png beside NAME.jpg), or put photos into "
            "images/ and labels into masks/"
        )
    return FoundPairs(sorted(pairs), sorted(images_alone), sorted(labels_alone))


def _examples(images: list[str], labels: list[str]) -> str:
    shown = [names[0] for names in (images, labels) if names]
    return f" (for instance {', '.join(shown)})" if shown else ""


def _names(folder: str):
    """All files below a folder that may be photos or labels, hidden ones left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(place, folder).replace(os.sep, "/")
        for name in names:
            if os.path.splitext(name)[1].lower() in LABEL_ENDINGS and name[0] != ".":
                path = name if inside == "." else f"{inside}/{name}"
                if has_control_characters(path):
                    raise UserError(
                        f"{folder}: the name {path!r} holds a control character"
                    )
                yield path


def _described(name: str) -> _File | None:
    path, ending = os.path.splitext(name.lower())
    folder, _, stem = path.rpartition("/")
    described = _described_folder(folder)
    if described is None or _OTHER.search(stem):
        return None
    in_label_folder, rest = described
    suffix = next((s for s in _LABEL_SUFFIXES if stem.endswith(s)), "")
    is_label = bool(suffix) or in_label_folder or ending not in PICTURE_ENDINGS
    rank = _LABEL_SUFFIXES.index(suffix) if suffix else 3
    suffix = suffix or next((s for s in _IMAGE_SUFFIXES if stem.endswith(s)), "")
    return _File(name, is_label, rank, (rest, stem.removesuffix(suffix)))


@lru_cache(maxsize=16)  # the files of a folder come one after the other
def _described_folder(folder: str) -> tuple[bool, str] | None:
    """Whether a folder holds labels, and what remains of its path; None if it holds other things."""
    parts = folder.split("/")
    if any(_OTHER.search(part) for part in parts):
        return None
    plain = [re.sub("[-_ ]", "", part) for part in parts]
    is_label = any(_without(_LABEL_FOLDER, part) != part for part in plain)
    words = _LABEL_FOLDER if is_label else _IMAGE_FOLDER
    return is_label, "/".join(filter(None, (_without(words, part) for part in plain)))


def _without(words: re.Pattern, part: str) -> str:
    """A folder's name without the word; train and the like may stand before or behind it."""
    if words.fullmatch(part):
        return ""
    for split in ("training", "train", "validation", "valid", "val", "testing", "test"):
        for candidate in (part.removeprefix(split), part.removesuffix(split)):
            if candidate != part and words.fullmatch(candidate):
                return split
    return part
