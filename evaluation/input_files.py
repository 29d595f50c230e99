"""Finds the photos and videos that a user named, and a name for the results of each."""

import os
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dataset.file_finder import PICTURE_ENDINGS
from dataset.image_reader import MAX_PICTURE_BYTES

PHOTO_ENDINGS = (*PICTURE_ENDINGS, ".dib", ".jpe")
VIDEO_ENDINGS = (
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
_BLOCK = 1 << 20  # bytes that are copied at once
# Endings of the files that are written for an input.
RESULTS = (
    *("_color.png", "_overlay.png", "_classes.png", "_confidence.png"),
    *("_overlay.webm", "_classes.mkv"),
)


@dataclass(frozen=True)
class Input:
    """One file to work on.

    Args:
        path (str): the file.
        target (str): path of its results, without the ending; no two inputs share it.
        is_renamed (bool): whether the results have another name than the input, because another
            input has that name.
    """

    path: str
    target: str
    is_renamed: bool = False

    @property
    def is_video(self) -> bool:
        return _ending(self.path) in VIDEO_ENDINGS


def find_inputs(
    arguments: list[str], output_folder: str
) -> tuple[list[Input], list[str]]:
    """The files that arguments stand for, each once.

    A folder stands for all photos and videos in it and its subfolders, but for labels
    (``NAME_L.png`` beside an image ``NAME``), hidden files and the output folder.

    Args:
        arguments: files and folders.
        output_folder: where the results go; results of files in a subfolder go into one, too.

    Returns:
        tuple: the inputs, and a sentence for each argument that stands for nothing.
    """
    found: dict[str, tuple[str, str]] = {}  # real path -> path, wanted target
    problems = []
    for argument in arguments:
        if os.path.isdir(argument):
            root, files = argument, _files_of(argument, os.path.realpath(output_folder))
            if not files:
                problems.append(f"{argument}: no photo or video in this folder")
        elif os.path.isfile(argument):
            root, files = os.path.dirname(argument) or ".", [argument]
        else:
            problems.append(f"{argument}: no such file or folder")
            continue
        for path in files:
            name = os.path.splitext(os.path.relpath(path, root))[0]
            target = os.path.join(output_folder, name)
            found.setdefault(os.path.realpath(path), (path, target))
    occupied = {_folded(real) for real in found}

    def is_input(target: str) -> bool:
        results = (os.path.realpath(target + ending) for ending in RESULTS)
        return any(_folded(result) in occupied for result in results)

    targets = map(DistinctNames(is_input), [wanted for _, wanted in found.values()])
    inputs = [
        Input(path, target, target != wanted)
        for (path, wanted), target in zip(found.values(), targets, strict=True)
    ]
    return inputs, problems


def _files_of(folder: str, skipped: str) -> list[str]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(parent, name)) != skipped
        )
        known = [
            name
            for name in sorted(names)
            if _ending(name) in PHOTO_ENDINGS + VIDEO_ENDINGS
            and not name.startswith(".")
        ]
        stems = {os.path.splitext(name)[0] for name in known}
        files += [os.path.join(parent, n) for n in known if not _is_label(n, stems)]
    return files


def _is_label(name: str, stems: set[str]) -> bool:
    return name.endswith("_L.png") and name.removesuffix("_L.png") in stems


class DistinctNames:
    """Called with names one by one, gives each back; with -2, -3... behind if it is not free.

    Args:
        is_taken: whether a name is in use by something else, too.
    """

    def __init__(self, is_taken: Callable[[str], bool] = lambda name: False):
        self._is_taken = is_taken
        self._used: set[str] = set()
        self._last: dict[str, int] = {}  # number that a name was given last

    def __call__(self, name: str) -> str:
        candidate, number = name, self._last.get(_folded(name), 1)
        while _folded(candidate) in self._used or self._is_taken(candidate):
            number += 1
            candidate = f"{name}-{number}"
        self._last[_folded(name)] = number
        self._used.add(_folded(candidate))
        return candidate


def _folded(name: str) -> str:
    """What a name is to Windows and macOS: they do not tell A from a, nor é from e + accent."""
    return unicodedata.normalize("NFC", name).casefold()


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


@contextmanager
def standard_input(named: list[str]) -> Iterator[list[str]]:
    """The inputs that were named; a file with what comes on standard input in the place of -."""
    if "-" not in named:
        yield named
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "standard_input")
        with open(path, "wb") as file:
            left = MAX_PICTURE_BYTES + 1  # a device might never end
            while left and (block := sys.stdin.buffer.read(min(left, _BLOCK))):
                left -= file.write(block)
        yield [path if name == "-" else name for name in named]
