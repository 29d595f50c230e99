"""Finds the files of images and labels by their names; says which name comes near a missing one.

mini_batch_loader.py finds with it what a list names.
"""

import os
from functools import lru_cache

from files.errors import UserError

PICTURE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
LABEL_ENDINGS = (".png", ".npz", ".json", *PICTURE_ENDINGS[1:], ".gif")
# What stands beside an image NAME, the first that exists. NAME.json is LabelMe's.
_LABELS_BESIDE = (
    *("_L.png", "_L.npz", ".json"),
    *(f"_L{ending}" for ending in PICTURE_ENDINGS[1:]),
)

_IMAGE = "image file"


def find_image(folder: str, name: str) -> str:
    """The path of an image; a name without an ending stands for ``NAME.png``, ``NAME.jpg``...

    Returns:
        str: a path that need not exist; see refuse_missing().
    """
    return _with_ending(os.path.join(folder, name), PICTURE_ENDINGS)


def _with_ending(path: str, endings: tuple[str, ...]) -> str:
    if os.path.splitext(path)[1].lower() in endings or os.path.isfile(path):
        return path
    candidates = (path + case for e in endings for case in (e, e.upper()))
    return next(filter(os.path.isfile, candidates), path)


def refuse_missing(path: str, what: str = _IMAGE) -> None:
    """Raise a UserError where a file does not exist."""
    if not os.path.isfile(path):
        near = _near_name(path) or (what == _IMAGE and _other_ending(path)) or ""
        raise UserError(f"{path}: no such {what}{near}")


class FolderListing:
    """The files below a folder, each folder read once: 20 times faster than a stat for each file."""

    def __init__(self, root: str):
        self._root = root
        self._names: dict[str, set[str]] = {}

    def names(self, folder: str) -> set[str]:
        """The names of the files in a folder; its path is relative to the root."""
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = self._read(folder)
        return names

    def _read(self, folder: str) -> set[str]:
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                return {entry.name for entry in entries if entry.is_file()}
        except OSError:
            return set()


def find_label(folder: str, name: str) -> str:
    """The path of a label that a list names: a file, or a folder of masks.

    Raises:
        UserError: it does not exist.
    """
    path = _with_ending(os.path.join(folder, name), LABEL_ENDINGS)
    if not os.path.isdir(path):
        refuse_missing(path, "label")
    return path


def label_beside(image_path: str) -> str:
    """The label of an image without one in the list.

    ``NAME_L.png``, or the book's ``NAME_L.npz``, or LabelMe's ``NAME.json``, or another picture
    ``NAME_L``.

    Raises:
        UserError: none of them exists.
    """
    stem = os.path.splitext(image_path)[0]
    for ending in _LABELS_BESIDE:
        if os.path.isfile(stem + ending):
            return stem + ending
    name = os.path.basename(stem)
    raise UserError(
        f"{stem}_L.png: no such label (nor {name}_L.npz, {name}.json)"
        f"{_near_name(stem + '_L.png')}"
    )


def _near_name(path: str) -> str:
    """What to add to a message on a missing file, where a file of nearly that name exists."""
    with_slashes = path.replace("\\", "/")
    near = _in_other_case(with_slashes)
    if near is None:
        return ""
    if with_slashes != path:
        return f"; there is {near}: write / between folders, not \\"
    return f"; there is {near}: capital and small letters must agree"


def _other_ending(path: str) -> str:
    """What to add to a message on a missing image, where there is one with another ending."""
    stem = os.path.splitext(path)[0]
    found = filter(os.path.isfile, (stem + ending for ending in PICTURE_ENDINGS))
    other = next(found, None)
    return f"; there is {other}: write that ending, or none" if other else ""


def _in_other_case(path: str) -> str | None:
    """An existing file whose path differs in capital and small letters at most."""
    if os.path.isfile(path):
        return path
    folder, parts = path, []
    while folder and not os.path.isdir(folder):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    for part in parts:
        try:
            changed = os.stat(folder or ".").st_mtime_ns
            names = _names_by_small_letters(folder or ".", changed)
        except OSError:
            return None
        if part.casefold() not in names:
            return None
        folder = os.path.join(folder, names[part.casefold()])
    return folder if os.path.isfile(folder) else None


@lru_cache(maxsize=4)
def _names_by_small_letters(folder: str, changed: int) -> dict[str, str]:
    """{name in small letters: name} of a folder; kept, as thousands of files may be missing."""
    return {name.casefold(): name for name in os.listdir(folder)}
