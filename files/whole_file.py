"""Writes files whole or not at all: a reader never sees a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from files.errors import UserError

TEMPORARY = ".tmp"


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary path beside a file; it is renamed to the file when the block succeeds.

    A reader sees the old file or the new one, never a part; after a power cut, too.

    Raises:
        UserError: the file cannot be written, for instance because the disk is full.
    """
    # The process id keeps two writers apart. The ending stays: OpenCV chooses the format by it.
    root, ending = os.path.splitext(path)
    temporary = f"{root}{TEMPORARY}{os.getpid()}{ending}"
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was stored before is intact"
        ) from None
    finally:
        with suppress(OSError):
            os.remove(temporary)


def sync_folder(path: str) -> None:
    """Flush a folder to the disk: only then does a renamed file survive a power cut."""
    if os.name != "posix":  # Windows cannot open a folder, and needs no such step
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Bytes of a file name that are no UTF-8, which Python keeps as half a surrogate pair, are
    written as ``\\udcff``: JSON reads them back as they were.

    Raises:
        UserError: as whole_file().
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: str, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UserError: as whole_file().
    """
    # Python's own files report every failed write, also that of the last bytes on closing;
    # ndarray.tofile() and OpenCV do not.
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
