"""Chooses the settings that fit a data set, and writes them with the lists and the table; for prepare.py."""

import math
import os
from collections import Counter

import yaml

from files.errors import UserError
from files.whole_file import write_text

_PIXELS = 60_000  # of a photo as the network sees it: 240 x 250, as in the book
_IMAGES_SEEN = 6000  # in a training: 75 epochs of 80 images
_MULTIPLE = 16


def image_scale(sizes: Counter) -> float:
    """The factor by which a photo of the median size has about 60 thousand pixels."""
    areas = sorted(height * width for height, width in sizes.elements())
    scale = min(1.0, math.sqrt(_PIXELS / areas[len(areas) // 2]))
    least = math.ceil(100 * _MULTIPLE / min(map(min, sizes))) / 100
    return round(min(1.0, max(scale, least)), 2)


def crop_size(sizes: Counter, scale: float) -> list[int] | None:
    """Windows about as large as the median image, where sizes differ."""
    if len(sizes) == 1:
        return None
    sides = []
    for axis in (0, 1):
        values = sorted(size[axis] for size in sizes.elements())
        median = values[len(values) // 2] * scale
        sides.append(max(_MULTIPLE, int(median) // _MULTIPLE * _MULTIPLE))
    return sides


def epochs_for(images: int) -> int:
    """Passes over the images, so that about 6,000 are seen; 20 to 200."""
    return max(20, min(200, round(_IMAGES_SEEN / images)))


def config_text(settings: dict, notes: dict[str, str], comment: str) -> str:
    """A configuration as YAML with a comment behind the keys that have a note.

    Args:
        settings: keys and values; a value that is a dict is a section.
        notes: {key, or section.key: why it has its value}.
        comment: lines to begin with.
    """
    lines = [f"# {line}" for line in comment.splitlines()]

    def add(values: dict, section: str = "") -> None:
        for key, value in values.items():
            indent = "  " if section else ""
            if isinstance(value, dict):
                lines.extend(["", f"{key}:"])
                add(value, f"{key}.")
                continue
            # In a list, so that YAML marks no end of the document behind a plain value.
            text = yaml.safe_dump(
                [value], default_flow_style=True, width=10**6, allow_unicode=True
            ).strip()[1:-1]
            note = notes.get(section + key)
            lines.append(f"{indent}{key}: {text}" + (f"  # {note}" if note else ""))

    add(settings)
    return "\n".join(lines) + "\n"


def write_files(texts: dict[str, str], overwrite: bool) -> None:
    """Write text files; none, if one of them exists and must not be replaced.

    Args:
        texts: {path: text}; the last one is written last.
        overwrite: whether existing files may be replaced.

    Raises:
        UserError: a file exists, or cannot be written.
    """
    folder = next(filter(os.path.isdir, texts), None)
    if folder:
        raise UserError(f"{folder}: is a folder; give --output the name of a file")
    existing = [path for path in texts if os.path.lexists(path)]
    if existing and not overwrite:
        raise UserError(
            f"{existing[0]}: exists already; give --overwrite to replace it, or another --output"
        )
    for path, text in texts.items():
        write_text(path, text)
