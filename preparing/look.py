"""Pairs files of equal names, and tells labels from photos by how few colours they have; for pair_finder.py."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from dataset.file_finder import PICTURE_ENDINGS
from dataset.image_reader import read_picture

_LOOKED_AT = 3  # files of a place
_SIDE = 400  # about as many rows and columns of a picture are looked at
_LEAST_RATIO = 2  # of the colours of a photo to those of a label
_MAX_ALIKE = 400  # files of one name; all are compared with all
Pair = tuple[str, str]
Place = tuple[str, str]


def pairs_by_looks(folder: str, names: list[str], by_numbers: bool) -> list[Pair]:
    """Pair files whose names are equal but for the ending, whatever their folders are called.

    Args:
        folder: the data set.
        names: files in it, with / between folders.
        by_numbers: where no two names are equal, pair those with the same numbers: img_012 and
            seg_012. Only for whole data sets: among a few files, numbers agree by chance.

    Returns:
        list: (photo, label). Of several photos of one name, each gets the label whose folder's
        name is most like its own; where two are equally like, none is paired.
    """
    places = defaultdict(list)
    for name in sorted(names):
        places[place_of(name)].append(name)

    @cache
    def colors(place: Place) -> float:
        files = places[place]
        some = files[:: max(1, len(files) // _LOOKED_AT)][:_LOOKED_AT]
        return float(np.median([_count_colors(os.path.join(folder, n)) for n in some]))

    @cache
    def labels_among(some: frozenset[Place]) -> set[Place] | None:
        return _label_places(some, colors)

    for key in (_stem, _numbers) if by_numbers else (_stem,):
        alike = defaultdict(list)
        for name in names:
            alike[key(name)].append(name)
        pairs = []
        for key_of_all, files in alike.items():
            if not key_of_all or not 1 < len(files) <= _MAX_ALIKE:
                continue
            at = {name: place_of(name) for name in files}
            if labels := labels_among(frozenset(at.values())):
                pairs += _nearest(
                    [name for name in files if at[name] not in labels],
                    [name for name in files if at[name] in labels],
                )
        if pairs:
            return pairs
    return []


def _stem(name: str) -> str:
    return os.path.splitext(name.rpartition("/")[2])[0].lower()


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", _stem(name)))


def place_of(name: str) -> Place:
    """The folder and the ending: the files of a place are of one kind."""
    return name.rpartition("/")[0], os.path.splitext(name)[1].lower()


def _count_colors(path: str) -> int:
    """Different colours of a picture; 1 for a label that is no picture."""
    if not path.lower().endswith(PICTURE_ENDINGS):
        return 1
    picture = read_picture(path)
    steps = [max(1, side // _SIDE) for side in picture.shape[:2]]
    pixels = picture[:: steps[0], :: steps[1]].astype(np.int64)
    if pixels.ndim == 3:
        pixels = pixels @ [1 << 32, 1 << 16, 1]
    return len(np.unique(pixels))


def _label_places(
    places: frozenset[Place], colors: Callable[[Place], float]
) -> set[Place] | None:
    """Cut places by their colours where the step from one to the next is largest."""
    ordered = sorted(places, key=colors)
    steps = [b / a for a, b in pairwise(map(colors, ordered))]
    if not steps or max(steps) < _LEAST_RATIO:
        return None
    return set(ordered[: int(np.argmax(steps)) + 1])


def _nearest(photos: list[str], labels: list[str]) -> list[Pair]:
    """Each photo with the label in the most similar folder, the most similar first."""
    if len(photos) == len(labels) == 1:  # as nearly always
        return [(photos[0], labels[0])]
    candidates = sorted(
        (-_similarity(place_of(photo)[0], place_of(label)[0]), photo, label)
        for photo in photos
        for label in labels
    )
    photos_at = Counter((distance, label) for distance, _, label in candidates)
    free, pairs = set(photos + labels), []
    for distance, photo, label in candidates:
        if {photo, label} <= free and photos_at[distance, label] == 1:
            pairs.append((photo, label))
            free -= {photo, label}
    return pairs


@lru_cache(maxsize=1 << 16)
def _similarity(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
