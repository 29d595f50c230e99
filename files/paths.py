"""Paths as they are stored in files, which may be read on another operating system."""

import os


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
