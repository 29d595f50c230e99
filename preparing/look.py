"""Pairs files of equal names, and tells labels from photos by how few colours they have; for pair_finder.py."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from dataset.file_finder import PICTURE_ENDINGS
from dataset.image_reader import read_picture

_LOOKED_AT = 3  # files of a place
_SIDE = 400  # about as many rows and columns of a picture are looked at
_LEAST_RATIO = 2  # of the colours of a photo to those of a label
_MOST_PIXELS = 0.9  # the colours that so many pixels have are counted
_MOST_COLORS = 40  # of a label, counted so; an infrared picture beside a photo has 100
_LEAST_FILES = 3  # that share what stands behind the photo's name
_MAX_ALIKE = 400  # files of one name; all are compared with all
Pair = tuple[str, str]
Place = tuple[str, str, str]  # folder, ending, and what a name ends in


class LookedPairs(NamedTuple):
    """Pairs that were found by names alone.

    Args:
        pairs (list): (photo, label).
        labels_alone (set of str): files beside labels of these pairs, of the same kind.
        others (set of str): files of the same names, such as further labels.
    """

    pairs: list[Pair]
    labels_alone: set[str]
    others: set[str]


def pairs_by_looks(
    folder: str, names: list[str], known: set[str], only_known: bool, by_numbers: bool
) -> LookedPairs:
    """Pair files whose names are equal but for the ending, whatever their folders are called.

    Where there are none, a label may have more behind the name of its photo: shot_1 and shot_1_ann.

    Args:
        folder: the data set.
        names: files in it, with / between folders.
        known: those that words call labels; they are preferred.
        only_known: whether no others are labels.
        by_numbers: where that finds none, pair files with the same numbers: img_012 and seg_012.
            Only for whole data sets: among a few files, numbers agree by chance.

    Returns:
        LookedPairs: of several photos of one name, each gets the label whose folder's name is most
        like its own; where two are equally like, none is paired.
    """
    names = sorted(names)
    ways = [lambda: {name: (_stem(name), "") for name in names}]
    ways.append(lambda: _without_ends(names))
    if by_numbers:
        ways.append(lambda: {name: (_numbers(name), "") for name in names})
    for way in ways:
        keys = way()
        at = {name: (*place_of(name), end) for name, (_, end) in keys.items()}
        sides = _Sides(folder, at, known, only_known)
        alike = defaultdict(list)
        for name in names:
            alike[keys[name][0]].append(name)
        pairs = []
        for key, files in alike.items():
            if key and 1 < len(files) <= _MAX_ALIKE:
                photos, labels = sides.of(frozenset(at[name] for name in files))
                pairs += _nearest(
                    [name for name in files if at[name] in photos],
                    [name for name in files if at[name] in labels],
                )
        if pairs:
            of_pairs, paired = {at[label] for _, label in pairs}, set(chain(*pairs))
            named = {keys[photo][0] for photo, _ in pairs}
            rest = [name for name in names if name not in paired]
            others = {name for name in rest if keys[name][0] in named}
            alone = {name for name in rest if at[name] in of_pairs} - others
            return LookedPairs(pairs, alone, others)
    return LookedPairs([], set(), set())


class _Sides:
    """Which of some places hold photos, and which labels; each place is looked at once.

    Args:
        folder: the data set.
        at: {name of a file: its place}.
        known, only_known: as for pairs_by_looks().
    """

    def __init__(
        self, folder: str, at: dict[str, Place], known: set[str], only_known: bool
    ):
        self._folder, self._only_known = folder, only_known
        self._files = defaultdict(list)
        for name, place in at.items():
            self._files[place].append(name)
        self._known = {
            place for place, files in self._files.items() if known.issuperset(files)
        }
        self._colors: dict[Place, float] = {}
        self._found: dict[frozenset[Place], tuple[set[Place], set[Place]]] = {}

    def of(self, places: frozenset[Place]) -> tuple[set[Place], set[Place]]:
        """The places of photos, and those of labels."""
        if places not in self._found:
            self._found[places] = self._divide(places)
        return self._found[places]

    def _divide(self, places: frozenset[Place]) -> tuple[set[Place], set[Place]]:
        few_colors = _label_places(places, self._count) or set()
        known = self._known & places
        labels = known if self._only_known else few_colors & known or few_colors
        if not labels:
            return set(), set()
        return (places - few_colors - labels) or (places - labels), labels

    def _count(self, place: Place) -> float:
        if place not in self._colors:
            files = self._files[place]
            some = files[:: max(1, len(files) // _LOOKED_AT)][:_LOOKED_AT]
            paths = (os.path.join(self._folder, name) for name in some)
            self._colors[place] = float(np.median([_count_colors(p) for p in paths]))
        return self._colors[place]


def _without_ends(names: list[str]) -> dict[str, tuple[str, str]]:
    """{name: (stem of the file whose name it begins with, the rest)}, for rests that occur often."""
    stems = {_stem(name) for name in names}
    cut = {}
    for stem in stems:
        starts = [stem[: m.start()] for m in re.finditer(r"[_\-. ]", stem)]
        start = next((s for s in reversed(starts) if s in stems), stem)
        cut[stem] = start, stem[len(start) :]
    often = Counter(rest for _, rest in cut.values())
    return {
        name: cut[stem] if often[cut[stem][1]] >= _LEAST_FILES else (stem, "")
        for name in names
        for stem in (_stem(name),)
    }


def _stem(name: str) -> str:
    return os.path.splitext(name.rpartition("/")[2])[0].lower()


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", _stem(name)))


def place_of(name: str) -> tuple[str, str]:
    """The folder and the ending."""
    return name.rpartition("/")[0], os.path.splitext(name)[1].lower()


def _count_colors(path: str) -> int:
    """How few colours most pixels of a picture have; 1 for a label that is no picture."""
    if not path.lower().endswith(PICTURE_ENDINGS):
        return 1
    picture = read_picture(path)
    steps = [max(1, side // _SIDE) for side in picture.shape[:2]]
    pixels = picture[:: steps[0], :: steps[1]].astype(np.int64)
    if pixels.ndim == 3:
        pixels = pixels @ [1 << 32, 1 << 16, 1]
    counts = np.sort(np.unique(pixels, return_counts=True)[1])[::-1]
    return int(np.searchsorted(counts.cumsum(), _MOST_PIXELS * counts.sum())) + 1


def _label_places(
    places: frozenset[Place], colors: Callable[[Place], float]
) -> set[Place] | None:
    """Cut places by their colours where the step from one to the next is largest."""
    ordered = sorted(places, key=colors)
    counts = list(map(colors, ordered))
    steps = [
        (after / before, number)
        for number, (before, after) in enumerate(pairwise(counts), 1)
        if before <= _MOST_COLORS
    ]
    step, labels = max(steps, default=(0, 0), key=lambda s: s[0])
    return set(ordered[:labels]) if step >= _LEAST_RATIO else None


def _nearest(photos: list[str], labels: list[str]) -> list[Pair]:
    """Each label belongs to the photo in the most similar folder, and of several the most similar counts.

    It never goes to another photo: that of a test set without labels may have the same name. Of photos
    in one folder it is the one with the shortest name: ISIC_1.jpg, not ISIC_1_superpixels.png.
    """
    if len(photos) == len(labels) == 1:  # as nearly always
        return [(photos[0], labels[0])]
    pairs: dict[str, tuple[float, int, str]] = {}
    for label in labels:
        distance = {
            photo: (
                -_similarity(place_of(photo)[0], place_of(label)[0]),
                len(_stem(photo)),
            )
            for photo in photos
        }
        least = min(distance.values())
        nearest = [photo for photo in photos if distance[photo] == least]
        if len(nearest) == 1:
            best = (*least, label)
            pairs[nearest[0]] = min(pairs.get(nearest[0], best), best)
    return [(photo, label) for photo, (*_, label) in pairs.items()]


@lru_cache(maxsize=1 << 16)
def _similarity(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
