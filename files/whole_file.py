"""Writes files whole or not at all: a reader never sees a part.

Windows does not replace a file that another program has open, as a spreadsheet has a log or a
viewer a picture. Such a file keeps its old content for the time being, and the program goes on.
The new content waits beside it, and takes its place as soon as it can.
"""

import atexit
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from files.errors import UserError, printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TEMPORARY = ".tmp"
# Seconds between attempts to replace a file. Virus scanners and backups hold it for a moment only.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
# Numbers of Windows' errors: access denied, sharing violation.
_IN_USE = (5, 32)
# Files that could not be replaced yet -> the temporary files that hold their new content.
_waiting: dict[str, str] = {}
# Files that the user was told about.
_told: set[str] = set()


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
    _waiting.pop(path, None)  # what comes now is newer
    _replace_waiting()
    try:
        os.makedirs(folder, exist_ok=True)
        yield temporary
        with open(temporary, "r+b") as file:
            _flush(file.fileno())
        _replace_or_wait(temporary, path)
        sync_folder(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was stored before is intact"
        ) from None
    finally:
        if path not in _waiting:
            with suppress(OSError):
                os.remove(temporary)


def replace(source: str, target: str, pauses: tuple[float, ...] = _PAUSES) -> None:
    """os.replace(), tried again where another program has one of the two files open.

    Args:
        source, target: as os.replace()'s.
        pauses: seconds between the attempts.

    Raises:
        OSError: as os.replace().
    """
    for pause in pauses:
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if not is_in_use(error):
                raise
            time.sleep(pause)
    os.replace(source, target)


def is_in_use(error: OSError) -> bool:
    """Whether Windows refused something because another program has the file open."""
    return getattr(error, "winerror", None) in _IN_USE


def _replace_or_wait(temporary: str, path: str) -> None:
    try:
        replace(temporary, path, () if path in _told else _PAUSES)
    except PermissionError as error:
        if not is_in_use(error) or os.path.isdir(path):
            raise
        if not _told:
            atexit.register(_end_waiting)
        _waiting[path] = temporary
        if path not in _told:
            _told.add(path)
            _say(
                f"note: {path} cannot be replaced ({error.strerror}): close the program that has "
                "it open; the new content is kept until then"
            )


def _replace_waiting() -> None:
    for path, temporary in list(_waiting.items()):
        with suppress(OSError):
            os.replace(temporary, path)
            del _waiting[path]


def _end_waiting() -> None:
    """When the program ends: what still cannot take its place gets a name of its own."""
    _replace_waiting()
    for path, temporary in _waiting.items():
        root, ending = os.path.splitext(path)
        new = f"{root}.new{ending}"
        with suppress(OSError):
            os.replace(temporary, new)
            temporary = new
        _say(
            f"warning: {path} is the old one: another program had it open to the end; the new one "
            f"is {temporary}"
        )


def _say(sentence: str) -> None:
    with suppress(OSError):
        print(printable(sentence), file=sys.stderr)


def _flush(number: int) -> None:
    """Flush a file to the disk. On macOS fsync may leave it in the drive's own memory."""
    full_flush = getattr(fcntl, "F_FULLFSYNC", None)
    if full_flush is None:
        os.fsync(number)
        return
    try:
        fcntl.fcntl(number, full_flush)
    except OSError:  # some network drives have fsync alone
        os.fsync(number)


def sync_folder(path: str) -> None:
    """Flush a folder to the disk: only then does a renamed file survive a power cut."""
    if os.name != "posix":  # Windows cannot open a folder, and needs no such step
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        _flush(folder)
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
