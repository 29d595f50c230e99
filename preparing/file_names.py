"""Describes files by the words in their names and folders: photo or label, and of which name; for pair_finder.py."""

import os
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from dataset.file_finder import LABEL_ENDINGS, PICTURE_ENDINGS
from files.errors import UserError, has_control_characters

# What stands behind the name of a photo in that of its label. Of several labels of a photo, the
# first of this list is taken: Cityscapes has four, DRIVE one of the camera's round window, too.
_LABEL_SUFFIXES = (
    *("_manual1", "_manual"),
    *("_gtfine_labeltrainids", "_gtcoarse_labeltrainids", "_labeltrainids"),
    *("_l", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation"),
    *("_annotation", "_groundtruth", "_matte", "-mask", "-label", ".mask", "_lab"),
    *("_anno", "_ann", "_trimap", "_manual2"),
    *("_gtfine_labelids", "_gtcoarse_labelids", "_labelids"),
    *("_gtfine_color", "_gtcoarse_color", "_color"),
)
_PLAIN_RANK = _LABEL_SUFFIXES.index("_l")
_IMAGE_SUFFIXES = (
    *("_leftimg8bit", "_image", "_img", "_photo", "_sat", "_rgb"),
    *("_training", "_test"),
)
# Pictures of other things that lie beside labels: numbers of objects.
_OTHER = ("instanceids", "_polygons", "instance", "instances", "object")
_ENDINGS = frozenset(LABEL_ENDINGS)
# Names of folders, in small letters and without - and _. What remains of a name when one of them
# is taken away must agree in photo and label: train and trainannot.
_LABEL_FOLDER = re.compile(
    "segmentationclass(aug|raw|png)?|annotations?|annot|anndir|masks?|labels?|gtfine|gtcoarse|"
    "groundtruth|gt(colors?)?|segmentations?|(1st|2nd)?manual[12]?"
)
_IMAGE_FOLDER = re.compile(
    "jpegimages|leftimg8bit|images?|imgdir|imgs?|photos?|pictures?"
)
SPLITS = (
    "trainval",
    "training",
    "train",
    "validation",
    "valid",
    "val",
    "testing",
    "test",
    *("tr", "ts", "te"),
)
_DEEP = 4  # folders below each other: VOCdevkit/VOC2012/ImageSets/Segmentation


class File(NamedTuple):
    """What may be a photo or a label.

    Args:
        name (str): relative to the data set, with / between folders.
        is_label (bool): whether words in the name say so.
        rank (int): of several labels of a photo, the lowest is taken.
        key (tuple): what remains of the folders, and of the name, without the words. It agrees in a
            photo and its label.
    """

    name: str
    is_label: bool
    rank: int
    key: tuple[str, str]

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def preference(self) -> tuple[int, int, str]:
        """Of several labels of a photo, the lowest is taken; among endings as label_beside() does."""
        ending = os.path.splitext(self.name)[1].lower()
        return self.rank, LABEL_ENDINGS.index(ending), self.name

    @property
    def as_folder(self) -> str:
        """The key of a folder whose name is that of the file."""
        return "/".join(filter(None, (self.key[0], _plain(self.key[1]))))


def list_files(folder: str) -> Iterator[File]:
    """What may be a photo or a label below a folder.

    Raises:
        UserError: a folder cannot be listed, or a list of images cannot hold a name.
    """
    for inside, folders, names in _walk(folder):
        if inside and _is_of_a_run(os.path.join(folder, inside), folders, names):
            folders.clear()
        else:
            yield from _described_files(folder, inside, names)


def find_files(folder: str, pattern: re.Pattern) -> Iterator[str]:
    """Files of a name in a folder and those below, down to the fourth; the nearest first.

    Args:
        folder: the data set.
        pattern: what the name in small letters must be.
    """
    for inside, folders, names in _walk(folder):
        if inside.count("/") == _DEEP:
            folders.clear()
        yield from (
            inside + name for name in sorted(names) if pattern.fullmatch(name.lower())
        )


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each folder in a folder, once: its path ("", or with / at its end), its folders and other files.

    As in os.walk(), who calls may take away folders that are not to be looked into. The nearest come
    first. Links to folders are followed, as large data sets are often linked.
    """
    waiting, seen = deque([""]), set()
    while waiting:
        inside = waiting.popleft()
        place = os.path.join(folder, inside)
        try:
            status = os.stat(place)
        except OSError as error:
            raise UserError(f"{place}: no such folder: {error.strerror}") from None
        if (status.st_dev, status.st_ino) in seen:  # a link leads back to it
            continue
        seen.add((status.st_dev, status.st_ino))
        folders, names = _contents(folder, inside)
        yield inside, folders, names
        waiting += [f"{inside}{name}/" for name in sorted(folders)]


def _contents(folder: str, inside: str) -> tuple[list[str], list[str]]:
    """The names of the folders and of the other files in a folder; inside is "" or ends in "/"."""
    folders, names = [], []
    place = os.path.join(folder, inside)
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name[0] != "." and entry.name != "__MACOSX":
                    (folders if entry.is_dir() else names).append(entry.name)
    except OSError as error:
        raise UserError(f"{place}: cannot list the folder: {error.strerror}") from None
    return folders, names


def _described_files(folder: str, inside: str, names: list[str]) -> Iterator[File]:
    described = _described_folder(inside.lower().rstrip("/"))
    for name in names:
        stem, dot, ending = name.lower().rpartition(".")
        if dot + ending not in _ENDINGS or described is None or stem.endswith(_OTHER):
            continue
        _refuse_unlistable(folder, inside + name)
        yield _described(inside + name, stem, dot + ending, *described)


def _refuse_unlistable(folder: str, name: str) -> None:
    """Raise a UserError for a name that a list of images would not give back."""
    if has_control_characters(name):
        raise UserError(
            f"{folder}: the name {name!r} holds a control character, or is not UTF-8; rename it"
        )
    if name != name.strip() or name[0] == "#":
        raise UserError(
            f"{folder}: the name {name!r} begins with # or a blank, or ends with a blank, which a "
            "list of images cannot hold; rename it"
        )


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
    rank = _PLAIN_RANK
    if stem.endswith(_LABEL_SUFFIXES):
        suffix = next(s for s in _LABEL_SUFFIXES if stem.endswith(s))
        is_label, rank = True, _LABEL_SUFFIXES.index(suffix)
        stem = stem.removesuffix(suffix)
    suffix = next((s for s in _IMAGE_SUFFIXES if stem.endswith(s)), "")
    return File(name, is_label, rank, (rest, stem.removesuffix(suffix)))


def _described_folder(folder: str) -> tuple[bool, str] | None:
    """Whether a folder holds labels, and what remains of its path; None if it holds other things."""
    parts = folder.split("/")
    if any(part.endswith(_OTHER) for part in parts):
        return None
    plain = [_plain(part) for part in parts]
    is_label = any(_without(_LABEL_FOLDER, part) != part for part in plain)
    words = _LABEL_FOLDER if is_label else _IMAGE_FOLDER
    return is_label, "/".join(filter(None, (_without(words, part) for part in plain)))


def _plain(part: str) -> str:
    return re.sub("[-_ ]", "", part)


def split_word(folder: str) -> str | None:
    """train, val and the like, where the name of a folder says so: train, train_images, trainannot."""
    plain = _plain(folder.lower())
    if plain in SPLITS:
        return plain
    for words in (_IMAGE_FOLDER, _LABEL_FOLDER):
        rest = _without(words, plain)
        if rest in SPLITS:
            return rest
    return None


def split_word_within(folder: str) -> str | None:
    """The same, where it is one of several words: Task1_Training_Input, train2017."""
    words = re.findall("[a-z]+", folder.lower())
    return next((word for word in words if word in SPLITS), None)


def _without(words: re.Pattern, part: str) -> str:
    """A folder's name without the word; train and the like may stand before or behind it."""
    if words.fullmatch(part):
        return ""
    for split in SPLITS:
        for candidate in (part.removeprefix(split), part.removesuffix(split)):
            if candidate != part and words.fullmatch(candidate):
                return split
    return part
