"""The lists of a cross-validation's folds: found beside a configuration, or made from its lists; for cross_validate.py.

A fold is a split of the images in three: a list to train on, one to choose the best epoch by, and
one to score, whose images the fold's model has never seen. Each image is scored in one fold.
"""

import os
import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from config import Config
from dataset.list_reader import read_list
from files.errors import UserError
from files.paths import from_here
from files.whole_file import write_text

PARTS = "train", "val", "test"
_FOLDER = re.compile(r"fold[1-9]\d{0,6}", re.ASCII)
# Of the images that a fold does not score; the rest is trained on.
_MAX_VAL_SHARE = 0.2


class Fold(NamedTuple):
    """The paths of a fold's three lists; the configuration calls them ``..._image_pointer``."""

    train: str
    val: str
    test: str


def lists_beside(config_path: str) -> str:
    """The folder with the folds of a configuration: ``my_lists`` for ``my.yaml``; need not exist."""
    return f"{os.path.splitext(config_path)[0]}_lists"


def find_folds(folder: str) -> list[Fold]:
    """The folds that a folder holds: ``fold1/train.txt``, ``fold1/val.txt``, ``fold1/test.txt``...

    Returns:
        list of Fold: empty where there are none.

    Raises:
        UserError: a number or a list is missing, an image is scored in no fold or in two, or a
            fold's model has seen an image that it is scored on.
    """
    lists = [os.path.join(place, "test.txt") for place in fold_folders(folder)]
    count = sum(map(os.path.isfile, lists))
    folds = [_fold(folder, number) for number in range(1, count + 1)]
    if count == 1:
        raise UserError(f"{from_here(folder)} holds one fold; at least 2 are needed")
    _refuse_leaks(folds)
    return folds


def fold_folders(folder: str) -> list[str]:
    """The folders fold1, fold2... in a folder; those of other names are the user's."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, n) for n in sorted(names) if _FOLDER.fullmatch(n)]


def _fold(folder: str, number: int) -> Fold:
    place = os.path.join(os.path.abspath(folder), f"fold{number}")
    return Fold(*(os.path.join(place, f"{part}.txt") for part in PARTS))


def _refuse_leaks(folds: list[Fold]) -> None:
    """Raise a UserError unless each image is scored once, by a model that has not seen it."""
    lists = [[_names(read_list(path).images) for path in fold] for fold in folds]
    scored = Counter(name for _, _, test in lists for name in test)
    for fold, (train, val, test) in zip(folds, lists, strict=True):
        for name in test:
            for part, seen in (("train", train), ("val", val)):
                if name in seen:
                    raise UserError(
                        f"{from_here(fold.test)}: {name} is in {part}.txt, too; an image must be "
                        "scored by a model that has never seen it"
                    )
            if scored[name] > 1:
                raise UserError(
                    f"{from_here(fold.test)}: {name} is in the test.txt of {scored[name]} folds; "
                    "each image belongs in one"
                )
        for name in (*train, *val):
            if name not in scored:
                raise UserError(
                    f"{from_here(fold.train)}: {name} is in no fold's test.txt; each image "
                    "belongs in one"
                )


def _names(images: list[str]) -> dict[str, None]:
    """Names spelt alike, in their order."""
    return dict.fromkeys(map(os.path.normpath, images))


def make_folds(config: Config, count: int, folder: str, overwrite: bool) -> list[Fold]:
    """Write the lists of folds that cut a configuration's training and validation images in blocks.

    The images are taken in the order of the two lists, and a fold scores a block of neighbours:
    frames of a video are near copies of each other. Of the other images, those that follow the
    block choose the best epoch, as large a share as the configuration's validation list has, at
    most a fifth. The test list has no part in it.

    Args:
        config: the whole configuration.
        count: number of folds.
        folder: where the lists go, as find_folds() finds them.
        overwrite: whether other lists there may be replaced.

    Raises:
        UserError: there are too few images, or other lists in the folder.
    """
    lines, val_share = _all_lines(config)
    if len(lines) < count:
        raise UserError(
            f"--folds {count}: train_image_pointer and val_image_pointer name {len(lines)} images "
            "together, fewer than folds; give a smaller number"
        )
    blocks = _blocks(lines, count, val_share)
    texts = {
        path: "\n".join(part) + "\n"
        for number, block in enumerate(blocks, 1)
        for path, part in zip(_fold(folder, number), block, strict=True)
    }
    places = fold_folders(os.path.abspath(folder))
    paths = (os.path.join(place, f"{part}.txt") for place in places for part in PARTS)
    stored = [path for path in paths if os.path.lexists(path)]
    if not overwrite:
        _refuse_other_lists(folder, stored, texts, count)
    for path in set(stored) - set(texts):
        os.remove(path)
    for path, text in texts.items():
        write_text(path, text)
    return [_fold(folder, number) for number in range(1, count + 1)]


def _all_lines(config: Config) -> tuple[list[str], float]:
    """The lines of both lists, each image once; and what share of them is validation's."""
    train, val = (
        read_list(getattr(config, key), key)
        for key in ("train_image_pointer", "val_image_pointer")
    )
    lines: dict[str, str] = {}
    for pairs in (train, val):
        for name, line in zip(pairs.images, pairs.lines, strict=True):
            lines.setdefault(os.path.normpath(name), line)
    return list(lines.values()), len(_names(val.images)) / len(lines)


def _blocks(lines: list[str], count: int, val_share: float) -> list[list[list[str]]]:
    """The lines to train on, to validate with and to score, for each fold."""
    ends = np.linspace(0, len(lines), count + 1).round().astype(int)
    folds = []
    for start, end in pairwise(ends):
        others = lines[end:] + lines[:start]
        n_val = max(1, round(min(val_share, _MAX_VAL_SHARE) * len(others)))
        if len(others) < 2:
            raise UserError(
                f"--folds {count}: {len(lines)} images are too few: a fold needs one to train on, "
                "one to validate with and one to score"
            )
        folds.append([others[n_val:], others[:n_val], lines[start:end]])
    return folds


def _refuse_other_lists(
    folder: str, stored: list[str], texts: dict[str, str], count: int
) -> None:
    """Raise a UserError where a list differs from what was stored; some may not be there yet."""
    if all(
        path in texts and "\n".join(read_list(path).lines) + "\n" == texts[path]
        for path in stored
    ):
        return
    folds = len({os.path.dirname(path) for path in stored})
    raise UserError(
        f"{from_here(folder)} holds the lists of another cross-validation ({folds} folds there, "
        f"{count} here, or other images); choose another output_path, or replace its results by "
        "--overwrite"
    )
