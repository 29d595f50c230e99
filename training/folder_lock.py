"""Keeps an output folder for one run at a time; train.py holds the lock while it trains."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chainer.training import extension

from files.errors import UserError, printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

_LOCK = ".lock"
# On Windows, other processes cannot read locked bytes. This one lies far behind the process id,
# which a second run shows. (The packages filelock and portalocker lock the first bytes.)
_LOCKED_BYTE = 1 << 30


@contextmanager
def locked(folder: str) -> Iterator[Callable]:
    """Keep a folder for this process while the block runs.

    The kernel holds the lock and drops it when the process ends, however it ends; the process
    id in the file is for the message only.

    Yields:
        callable: an extension of a Trainer, which raises UserError when the folder was removed
        or replaced: another run may be writing into it. It looks before anything is written.

    Raises:
        UserError: another process has the folder, or it cannot be written.
    """
    path = os.path.join(folder, _LOCK)
    try:
        os.makedirs(folder, exist_ok=True)
        lock = open(path, "r+b", buffering=0, opener=_open)  # noqa: SIM115
    except OSError as error:
        raise _cannot_write(path, error) from None

    # After a validation, which takes long, and before the extensions that write.
    @extension.make_extension(
        trigger=lambda trainer: True, priority=extension.PRIORITY_EDITOR
    )
    def refuse_lost_folder(trainer=None) -> None:
        if not _is_at(path, lock):
            raise UserError(
                f"output_path: {printable(folder)} was removed or replaced while this run wrote "
                "into it; start again"
            )

    with lock:
        _take(lock, folder, path)
        refuse_lost_folder()
        yield refuse_lost_folder


def _open(path: str, flags: int) -> int:
    """Open or make the lock's file, but nothing that a link or a pipe of that name leads to."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(None, "it is no plain file; remove it")
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _is_at(path: str, file) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except OSError:
        return False


def _lock(file) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    file.seek(_LOCKED_BYTE)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def _take(lock, folder: str, path: str) -> None:
    content = lock.read(32).decode(errors="replace")
    if not re.fullmatch(r"\d*\s*", content):
        raise UserError(
            f"output_path: {printable(path)} is not this program's; remove it, or choose "
            "another output_path"
        )
    try:
        _lock(lock)
    except (BlockingIOError, PermissionError):  # Linux and macOS | Windows
        raise UserError(
            f"output_path: {printable(folder)} is in use by another run (process "
            f"{content.strip() or 'unknown'}); wait for it to end, or choose another "
            "output_path"
        ) from None
    except OSError as error:  # some network file systems know no locks
        print(
            f"note: {printable(folder)} cannot be locked ({error.strerror}); start one run only"
        )
    try:
        lock.seek(0)
        lock.truncate()
        lock.write(b"%d\n" % os.getpid())
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: str, error: OSError) -> UserError:
    return UserError(f"output_path: cannot write {printable(path)}: {error.strerror}")
