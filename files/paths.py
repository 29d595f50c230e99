"""Spells paths: as files store them for any operating system, and as a user would type them."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent  # where the programs are


def relative(path: str | os.PathLike, folder: str | os.PathLike) -> str:
    """A path relative to a folder, with ``/`` between folders, which Windows reads as well.

    Where the two lie on different drives of Windows, no relative path exists: the path is
    returned as an absolute one.
    """
    try:
        path = os.path.relpath(path, folder)
    except ValueError:
        path = os.path.abspath(path)
    return path.replace(os.sep, "/")


def from_here(path: str) -> str:
    """A path relative to the current folder, or absolute where that is shorter."""
    absolute = os.path.abspath(path)
    try:
        return min(os.path.relpath(path), absolute, key=len)
    except ValueError:  # Windows: on another drive
        return absolute
