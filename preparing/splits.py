"""Divides pairs into those to train on, to watch the training with, and to score; for prepare.py."""

import random
from functools import lru_cache
from itertools import chain, pairwise

from files.errors import UserError
from files.text_file import read_text
from preparing.file_names import split_word, split_word_within
from preparing.own_lists import read_own_lists

_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val"}
_NAMES |= {"validation": "val", "test": "test", "testing": "test", "trainval": "train"}
_NAMES |= {"tr": "train", "ts": "test", "te": "test"}
_SHARES = (0.7, 0.15)  # to train on, to watch with; the rest is scored
Pair = tuple[str, str]
Lists = dict[str, list[Pair]]


def split_as_given(folder: str, pairs: list[Pair]) -> tuple[Lists, str] | None:
    """The division that the folder has, by lists or by train/ val/ test/, and how it is made.

    What it lacks is taken from the end of what it has. None if it has no division.
    """
    sets, place = read_own_lists(folder, [image for image, _ in pairs])
    lists: Lists = {"train": [], "val": [], "test": []}
    for image, label in pairs:
        what = sets.get(image) or _split_of(image.rpartition("/")[0])
        if what:
            lists[_NAMES[what]].append((image, label))
    if not lists["train"] or not (lists["val"] or lists["test"]):
        return None
    for missing, other in (("val", "test"), ("test", "val")):
        if not lists[missing]:
            if len(lists[other]) < 2:
                return None
            half = len(lists[other]) // 2
            lists[missing], lists[other] = lists[other][half:], lists[other][:half]
    return lists, f"by the lists in {place}" if sets else "as the folder is divided"


@lru_cache(maxsize=1 << 16)
def _split_of(folder: str) -> str | None:
    """What the images of a folder are for, by its path; trainval only where no word says more."""
    folders = folder.split("/")
    words = list(filter(None, map(split_word, folders)))
    words = words or list(filter(None, map(split_word_within, folders)))
    return min(words, key="trainval".__eq__, default=None)


def read_groups(path: str, pairs: list[Pair]) -> list[list[Pair]]:
    """The pairs of each group, in the order in which the groups occur.

    A line of the file is the name of an image, a tab or a comma, and the name of its group.

    Raises:
        UserError: a line has no group, or an image is missing or in two groups.
    """
    of = {}
    for number, line in enumerate(read_text(path, "--groups", 1 << 27).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        image, tab, group = line.partition("\t" if "\t" in line else ",")
        if not tab or not group.strip():
            raise UserError(
                f"{path}, line {number}: write an image and its group, with a tab or a comma "
                "between them"
            )
        image, group = image.strip(), group.strip()
        if of.setdefault(image, group) != group:
            raise UserError(
                f"{path}, line {number}: {image} is in the group {of[image]} already; an image "
                "has one group"
            )
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair[0] not in of:
            raise UserError(f"{path}: {pair[0]} is missing; add a line with its group")
        groups.setdefault(of[pair[0]], []).append(pair)
    return list(groups.values())


def split_in_blocks(units: list[list[Pair]], seed: int | None) -> Lists:
    """Divide units (groups, or single pairs), which stay whole, in order or at random.

    Raises:
        UserError: there are fewer than three units.
    """
    if len(units) < 3:
        raise UserError(
            f"{len(units)} images or groups; at least three are needed: one to train on, one to "
            "watch the training with, one to score"
        )
    train = min(max(1, round(_SHARES[0] * len(units))), len(units) - 2)
    val = min(max(1, round(_SHARES[1] * len(units))), len(units) - train - 1)
    units = _ordered(units, seed)
    return {
        "train": list(chain(*units[:train])),
        "val": list(chain(*units[train : train + val])),
        "test": list(chain(*units[train + val :])),
    }


def split_in_folds(
    units: list[list[Pair]], folds: int, seed: int | None
) -> list[Lists]:
    """For each fold: its block is scored, a block of the others watches, the rest trains.

    Raises:
        UserError: fewer than three folds, or fewer units than folds.
    """
    if folds < 3:
        raise UserError(f"--folds: {folds} is less than 3: train, watch, score")
    if len(units) < folds:
        raise UserError(
            f"--folds: {len(units)} images or groups are fewer than {folds} folds"
        )
    units = _ordered(units, seed)
    bounds = [len(units) * fold // folds for fold in range(folds + 1)]
    blocks = [list(chain(*units[a:b])) for a, b in pairwise(bounds)]
    lists = []
    for fold in range(folds):
        watch = (fold + 1) % folds
        rest = [block for n, block in enumerate(blocks) if n not in (fold, watch)]
        lists.append(
            {"train": list(chain(*rest)), "val": blocks[watch], "test": blocks[fold]}
        )
    return lists


def _ordered(units: list[list[Pair]], seed: int | None) -> list[list[Pair]]:
    if seed is None:
        return units
    return random.Random(seed).sample(units, len(units))
