"""Finds photos and their labels in a folder by their names; prepare.py calls it."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from dataset.file_finder import LABEL_ENDINGS, PICTURE_ENDINGS
from dataset.labelme import MAX_BYTES as MAX_LABELME_BYTES
from files.errors import UserError, has_control_characters
from preparing.look import pairs_by_looks, place_of

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
_OTHER = ("instanceids", "_color", "_polygons", "instance", "object")
_ENDINGS = frozenset(LABEL_ENDINGS)
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
    """

    pairs: list[tuple[str, str]]
    images_alone: list[str]


class _File(NamedTuple):
    name: str
    is_label: bool
    rank: int  # of several labels of a photo, the lowest is taken
    key: tuple[str, str]  # agrees in a photo and its label


def find_pairs(folder: str) -> FoundPairs:
    """Pair the photos and labels below a folder: by words in names, then by equal names.

    Raises:
        UserError: there is no such folder, or no pair in it, or a label has no photo, or two.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder")
    pairs, images_alone, labels_alone = _pairs_by_words(folder)
    if images_alone or labels_alone:
        looked, images_alone, labels_alone = _pairs_of_the_rest(
            folder, images_alone, labels_alone, by_numbers=not pairs
        )
        pairs += looked
    if not pairs:
        raise UserError(
            f"{folder}: no photo with a label among {counted(len(images_alone), 'photo')} and "
            f"{counted(len(labels_alone), 'label')}{_examples(images_alone[:1] + labels_alone[:1])}"
            "; name a label like its photo (NAME_L.png or NAME_mask.png beside NAME.jpg), or put "
            "photos into images/ and labels into masks/"
        )
    if labels_alone:
        raise UserError(
            f"{folder}: {counted(len(labels_alone), 'label')} without a photo"
            f"{_examples(labels_alone[:3])}; add the photo, or take the label out of the "
            "folder"
        )
    return FoundPairs(sorted(pairs), images_alone)


def counted(number: int, what: str) -> str:
    """1 photo without a label, 2 photos without a label."""
    noun, *rest = what.split(" ", 1)
    return " ".join([f"{number:,}", noun + "s" * (number != 1), *rest])


def _pairs_by_words(folder: str) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs that the words in the names of files and folders tell; photos and labels left over."""
    images, labels = defaultdict(list), defaultdict(list)
    for file in _files(folder, ""):
        (labels if file.is_label else images)[file.key].append(file)
    pairs, images_alone = [], []
    for key, found in images.items():
        if key not in labels:
            images_alone += [file.name for file in found]
            continue
        label = min(labels.pop(key), key=lambda file: (file.rank, file.name))
        if len(found) > 1:
            first, second, *_ = sorted(file.name for file in found)
            raise UserError(
                f"{folder}: the label {label.name} fits two photos, {first} and {second}; take "
                "one of them out of the folder"
            )
        pairs.append((found[0].name, label.name))
    return (
        pairs,
        images_alone,
        [file.name for files in labels.values() for file in files],
    )


def _pairs_of_the_rest(
    folder: str, images: list[str], labels: list[str], by_numbers: bool
) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs of what the words did not pair; photos and labels that are still left over."""
    pairs = pairs_by_looks(folder, images + labels, by_numbers)
    paired = set(chain(*pairs))
    places = {place_of(label) for _, label in pairs}
    images_alone, labels_alone = [], []
    by_words = set(labels)
    for name in images + labels:
        if name in paired:
            continue
        if name not in by_words and place_of(name) not in places:
            images_alone.append(name)
        elif _is_surely_label(os.path.join(folder, name)):
            labels_alone.append(name)
    return pairs, sorted(images_alone), sorted(labels_alone)


def _is_surely_label(path: str) -> bool:
    """Whether a file without a photo is a label: other JSON and npz files lie in many folders."""
    if path.lower().endswith(".json"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            return b'"shapes"' in file.read(MAX_LABELME_BYTES)
    return not path.lower().endswith(".npz") or path.lower().endswith("_l.npz")


def _examples(names: list[str]) -> str:
    return f" (for instance {', '.join(names)})" if names else ""


def _files(folder: str, inside: str) -> Iterator[_File]:
    """What may be a photo or a label below a folder; inside is "" or ends in "/"."""
    folders, names = [], []
    place = os.path.join(folder, inside)
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name[0] != "." and entry.name != "__MACOSX":
                    is_folder = entry.is_dir(follow_symlinks=False)
                    (folders if is_folder else names).append(entry.name)
    except OSError as error:
        raise UserError(f"{place}: cannot list the folder: {error.strerror}") from None
    if inside and _is_of_a_run(place, folders, names):
        return
    described = _described_folder(inside.lower().rstrip("/"))
    for name in names:
        stem, dot, ending = name.lower().rpartition(".")
        if dot + ending not in _ENDINGS or described is None or stem.endswith(_OTHER):
            continue
        if has_control_characters(inside + name):
            raise UserError(
                f"{folder}: the name {inside + name!r} holds a control character"
            )
        yield _described(inside + name, stem, dot + ending, *described)
    for name in sorted(folders):
        yield from _files(folder, f"{inside}{name}/")


def _is_of_a_run(folder: str, folders: list[str], names: list[str]) -> bool:
    """Whether a folder is the output of train.py or predict.py."""
    if "report.html" in names or any(n.startswith("snapshot_") for n in names):
        return True
    if "model" not in folders:
        return False
    models = os.listdir(os.path.join(folder, "model"))
    return any(n.startswith("fcn_") and n.endswith(".npz") for n in models)


def _described(name: str, stem: str, ending: str, in_label_folder: bool, rest: str):
    stem = f"_{stem}"  # a file may also be called image.png or mask.png alone
    is_label = in_label_folder or ending not in PICTURE_ENDINGS
    rank, suffix = 3, ""
    if stem.endswith(_LABEL_SUFFIXES):
        suffix = next(s for s in _LABEL_SUFFIXES if stem.endswith(s))
        is_label, rank = True, _LABEL_SUFFIXES.index(suffix)
    elif stem.endswith(_IMAGE_SUFFIXES):
        suffix = next(s for s in _IMAGE_SUFFIXES if stem.endswith(s))
    return _File(name, is_label, rank, (rest, stem.removesuffix(suffix)))


def _described_folder(folder: str) -> tuple[bool, str] | None:
    """Whether a folder holds labels, and what remains of its path; None if it holds other things."""
    parts = folder.split("/")
    if any(part.endswith(_OTHER) for part in parts):
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
