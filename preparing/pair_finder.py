"""Finds photos and their labels in a folder by their names; prepare.py calls it."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from dataset.file_finder import PICTURE_ENDINGS
from dataset.labelme import MAX_BYTES as MAX_LABELME_BYTES
from files.errors import UserError
from files.text_table import counted
from preparing.file_names import File, list_files
from preparing.look import pairs_by_looks, place_of
from preparing.object_masks import folders_of_masks, refuse_numbered_masks
from preparing.other_formats import find_other_format, kind_of, way_out

_LOOKED_AT = 3  # JSON files of a folder
Pair = tuple[str, str]


class FoundPairs(NamedTuple):
    """What lies in a folder; names are relative to it, with / between folders.

    Args:
        pairs (list): (image, label), in the order of the names of the images. A label may be a
            folder of masks.
        images_alone (list of str): photos without a label.
        others (list of str): other pictures named like these photos, such as further labels.
        empty (sequence of str): labels that were left out, as no pixel of them counts.
    """

    pairs: list[Pair]
    images_alone: list[str]
    others: list[str]
    empty: Sequence[str] = ()

    def without(self, labels: set[str]) -> "FoundPairs":
        """The same without some labels."""
        kept = [pair for pair in self.pairs if pair[1] not in labels]
        return self._replace(pairs=kept, empty=sorted(labels))


def find_pairs(folder: str, photos_in: str = "", labels_in: str = "") -> FoundPairs:
    """Pair the photos and labels below a folder: by words in names, then by equal names.

    Args:
        folder: the data set.
        photos_in: what the names of the photos hold, such as a folder's name; other photos are
            passed over.
        labels_in: what the names of the labels hold; the words then do not say what a label is.

    Raises:
        UserError: there is no such folder, or no pair in it, or a label has no photo, or two.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder")
    files, other_json = _without_other_json(folder, list(list_files(folder)))
    files, others = _as_asked(files, photos_in, labels_in)
    pairs, rest = _pairs_by_words(folder, files)
    masks, rest = folders_of_masks(files, rest)
    pairs += masks
    labels_alone = {file.name for file in rest if file.is_label}
    if len(labels_alone) < len(rest):
        looked = pairs_by_looks(
            folder,
            [file.name for file in rest],
            labels_alone,
            only_known=bool(labels_in),
            by_numbers=not pairs,
        )
        pairs += looked.pairs
        paired = set(chain(*looked.pairs))
        others += looked.others
        paired |= looked.others
        rest = [file for file in rest if file.name not in paired]
        labels_alone = labels_alone - paired | looked.labels_alone
    if not labels_in:
        refuse_numbered_masks(folder, pairs, files)
    images_alone, labels_alone, more = _sorted_out(files, pairs, rest, labels_alone)
    labels_alone = [n for n in labels_alone if _is_surely_label(folder, n, pairs)]
    if not pairs:
        raise UserError(_no_pair(folder, images_alone, labels_alone, other_json))
    if labels_alone:
        raise UserError(
            f"{folder}: {counted(len(labels_alone), 'label')} without a photo"
            f"{_examples(labels_alone[:3])}; add the photo, or take the label out of the "
            "folder"
        )
    return FoundPairs(sorted(pairs), images_alone, sorted(others + more))


def _without_other_json(
    folder: str, files: list[File]
) -> tuple[list[File], str | None]:
    """The files without the JSON of folders that hold none of LabelMe's; and the path of one such JSON.

    Cameras and other tools write JSON beside photos and labels, too.
    """
    json_in = defaultdict(list)
    for file in files:
        if file.name.lower().endswith(".json"):
            json_in[file.folder].append(os.path.join(folder, file.name))
    other = {
        place: paths[0]
        for place, paths in json_in.items()
        if not any(map(_is_labelme, sorted(paths)[:_LOOKED_AT]))
    }
    kept = [
        file
        for file in files
        if file.folder not in other or not file.name.lower().endswith(".json")
    ]
    return kept, next(iter(other.values()), None)


def _is_labelme(path: str) -> bool:
    if os.path.isfile(path):  # opening a pipe could wait for ever
        with contextlib.suppress(OSError), open(path, "rb") as file:
            return b'"shapes"' in file.read(MAX_LABELME_BYTES)
    return False


def _as_asked(
    files: list[File], photos_in: str, labels_in: str
) -> tuple[list[File], list[str]]:
    """The files whose names hold what the user says, as photos and labels; and the names of others."""
    kept, others = [], []
    for file in files:
        is_label = labels_in in file.name if labels_in else file.is_label
        if photos_in and not is_label and photos_in in file.name:
            kept.append(file._replace(is_label=False))
        elif is_label or not (photos_in or file.is_label):
            kept.append(file._replace(is_label=is_label))
        else:
            others.append(file.name)
    return kept, others


def _pairs_by_words(folder: str, files: list[File]) -> tuple[list[Pair], list[File]]:
    """Pairs that the words in the names of files and folders tell; and the other files."""
    images, labels = defaultdict(list), defaultdict(list)
    for file in files:
        (labels if file.is_label else images)[file.key].append(file)
    pairs, paired = [], set()
    for key, found in images.items():
        if key not in labels:
            continue
        label = min(labels[key], key=lambda file: file.preference)
        if len(found) > 1:
            first, second, *_ = sorted(file.name for file in found)
            raise UserError(
                f"{folder}: the label {label.name} fits two photos, {first} and {second}; take "
                "one of them out of the folder"
            )
        pairs.append((found[0].name, label.name))
        paired |= {found[0].name, label.name}
    return pairs, [file for file in files if file.name not in paired]


def _sorted_out(
    files: list[File], pairs: list[Pair], rest: list[File], labels: set[str]
) -> tuple[list[str], list[str], list[str]]:
    """Of the files without a pair: photos, labels, and other pictures named like photos with a label.

    Args:
        files: all of the data set.
        pairs: those that were found.
        rest: files in no pair.
        labels: names of those that are labels.
    """
    photos = {photo for photo, _ in pairs}
    stems = {file.key[1] for file in files if file.name in photos}
    paired = set(chain(*pairs))
    places = {place_of(name) for name in paired}
    keys = {file.key for file in files if file.name in paired and file.is_label}
    images_alone, labels_alone, others = [], [], []
    for file in rest:
        stem = file.key[1]
        starts = (stem[: m.start()] for m in re.finditer(r"[_\-. ]", stem))
        is_named_alike = stem in stems and place_of(file.name) not in places
        is_further_label = file.is_label and file.key in keys
        if (
            is_named_alike
            or is_further_label
            or any(start in stems for start in starts)
        ):
            others.append(file.name)
        elif file.name in labels:
            labels_alone.append(file.name)
        else:
            images_alone.append(file.name)
    return sorted(images_alone), sorted(labels_alone), others


def _is_surely_label(folder: str, name: str, pairs: list[Pair]) -> bool:
    """Whether a file without a photo is a label: other JSON, npz and GIF files lie in many folders."""
    ending = os.path.splitext(name)[1].lower()
    if ending == ".json":
        return _is_labelme(os.path.join(folder, name))
    if ending == ".npz":
        return name.lower().endswith("_l.npz")
    place = place_of(name)
    return ending in PICTURE_ENDINGS or any(place_of(lbl) == place for _, lbl in pairs)


def _no_pair(
    folder: str,
    images_alone: list[str],
    labels_alone: list[str],
    other_json: str | None,
) -> str:
    """What to say, where no photo has a label."""
    other = find_other_format(folder)
    if other:
        return f"{other}: {way_out(kind_of(other))}"
    if other_json:
        return f"{other_json}: not a file of LabelMe, and there is no other label of a photo"
    return (
        f"{folder}: no photo with a label among {counted(len(images_alone), 'photo')} and "
        f"{counted(len(labels_alone), 'label')}{_examples(images_alone[:1] + labels_alone[:1])}"
        "; name a label like its photo (NAME_L.png or NAME_mask.png beside NAME.jpg), or put "
        "photos into images/ and labels into masks/, or say by --photos and --labels what their "
        "names hold"
    )


def _examples(names: list[str]) -> str:
    return f" (for instance {', '.join(names)})" if names else ""
