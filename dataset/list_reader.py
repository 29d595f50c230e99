"""Reads a list of images, or of images and their labels; mini_batch_loader.py calls it."""

import itertools
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from dataset.file_finder import (
    PICTURE_ENDINGS,
    FolderListing,
    find_image,
    find_label,
    label_beside,
)
from files.errors import UserError, has_control_characters
from files.text_file import read_text

_MAX_LIST_BYTES = 1 << 27
_MAX_LIST_NAMES = 4_000_000  # a million take about 150 MB
# A line of one or two names without anything that needs a closer look: letters, digits, _ and -, in
# folders that do not begin with a dot. Most lists hold nothing else: half of the time.
_NAME = r"([\w-][\w.-]*(?:/[\w-][\w.-]*)*)"
_PLAIN_LINE = re.compile(rf"{_NAME}(?:\t{_NAME})?", re.ASCII)
_SHORT = 1000  # the folder of a shorter list may hold far more files than it names


class ImageList(NamedTuple):
    """What a list names, relative to image_dir_path.

    Args:
        images (list of str): file names of the images.
        labels (list of str or None): those of their labels; None where a line has none. Empty
            where no line has one.
    """

    images: list[str]
    labels: list[str | None]

    @property
    def lines(self) -> list[str]:
        """One line an image: its name, and behind a tab that of its label, if there is one."""
        if not self.labels:
            return self.images
        pairs = zip(self.images, self.labels, strict=True)
        return [name if label is None else f"{name}\t{label}" for name, label in pairs]

    def unsure(self, folder: str) -> Iterator[int]:
        """The images whose file, or label, is not there under its plainest name.

        Of a short list, all.
        """
        if len(self.images) <= _SHORT:
            yield from range(len(self.images))
            return
        files = FolderListing(folder)
        labels = self.labels or itertools.repeat(None, len(self.images))
        for index, (image, label) in enumerate(zip(self.images, labels, strict=True)):
            part, _, name = image.rpartition("/")
            there = files.names(part)
            if name not in there:
                yield index
            elif label is not None:
                part, _, name = label.rpartition("/")
                if name not in files.names(part):
                    yield index
            elif name.rpartition(".")[0] + "_L.png" not in there:
                yield index

    def image_path(self, folder: str, index: int) -> str:
        """Path of an image file, which need not exist."""
        return find_image(folder, self.images[index])

    def label_path(self, folder: str, index: int) -> str:
        """Path of a label: the one that the list names, or the one beside the image.

        Raises:
            UserError: there is none.
        """
        name = self.labels[index] if self.labels else None
        if name is None:
            return label_beside(self.image_path(folder, index))
        return find_label(folder, name)


def read_list(path: str, key: str = "image pointer") -> ImageList:
    """Read a list with one image a line, or one image and its label.

    A tab stands between image and label, or a blank where both names hold no blank. Blank lines
    and lines that begin with ``#`` are skipped.

    Args:
        path: the list.
        key: what the configuration calls it, for messages.

    Raises:
        UserError: the list cannot be read, is empty, has a third column, or a name in it leaves
            the image folder.
    """
    text = (
        read_text(path, key, _MAX_LIST_BYTES).replace("\r\n", "\n").replace("\r", "\n")
    )
    if text.count("\n") > _MAX_LIST_NAMES:
        raise UserError(f"{key}: {path} has more than {_MAX_LIST_NAMES:,} lines")
    images: list[str] = []
    labels: list[str | None] = []
    for number, line in enumerate(text.split("\n"), 1):
        if plain := _PLAIN_LINE.fullmatch(line):
            image, label = plain.groups()
            images.append(image)
            if label is not None:
                labels += [None] * (len(images) - 1 - len(labels)) + [label]
            continue
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        names = _columns(line)
        problem = _problem_of_columns(names)
        if problem:
            raise UserError(f"{path}, line {number}: {problem}")
        images.append(names[0])
        if len(names) == 2:
            labels += [None] * (len(images) - 1 - len(labels)) + [names[1]]
    if not images:
        raise UserError(f"{key}: {path} is empty; write one image file name a line")
    if labels:
        labels += [None] * (len(images) - len(labels))
    return ImageList(images, labels)


def _columns(line: str) -> list[str]:
    """The names in a line."""
    if "\t" in line:
        return [name.strip() for name in line.split("\t")]
    words = line.split()
    if len(words) == 1:
        return words
    endings = [os.path.splitext(word)[1].lower() for word in words]
    if all(endings) and endings[0] in PICTURE_ENDINGS:
        return words
    # Two names without an ending, as in "JPEGImages/a SegmentationClass/a". Everything else is
    # one name that holds blanks, as in "my photo.png".
    if len(words) == 2 and not any(endings) and all("/" in word for word in words):
        return words
    return [line]


def _problem_of_columns(names: list[str]) -> str | None:
    if len(names) > 2:
        return (
            f"{len(names)} columns; write an image, or an image and its label with a tab "
            "between them"
        )
    if not all(names):
        return "a name is missing beside the tab"
    for name in names:
        problem = _problem_of_name(name)
        if problem:
            return f"{name[:200]!r} {problem}"
    return None


def _problem_of_name(name: str) -> str | None:
    if has_control_characters(name):
        return "holds a control character"
    # Only ".." can lead upwards; normpath for each of a million names takes seconds.
    upwards = ".." in name and os.path.normpath(name).split(os.sep)[0] == os.pardir
    # Not isabs(): on Windows, C:a.png and /a.png leave the folder, but are no absolute paths.
    if upwards or name[0] in ("/", os.sep) or os.path.splitdrive(name)[0]:
        return "leaves the image folder; names are relative to image_dir_path"
    return None
