"""Makes printing safe: streams that are closed, full, or know few characters; run_program() calls it."""

import errno
import os
import sys
from contextlib import suppress


def prepare_streams() -> None:
    """Make sure that standard output and error exist and take every character.

    A stream that the shell has closed (``>&-``) becomes the null device: else the next file that
    is opened would get its number, and what libraries print would end in that file. A character
    that the terminal's encoding does not have is printed as ``?``.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    sys.stdout.reconfigure(errors="replace")


def print_error(sentence: str) -> None:
    """Print to standard error; where that cannot be written, the exit code must do."""
    with suppress(OSError):
        print(sentence, file=sys.stderr)


def is_reader_gone(error: Exception) -> bool:
    """Whether a write failed because the program behind a pipe has ended."""
    if isinstance(error, BrokenPipeError):
        return True
    # Windows' error for it; it names no file.
    is_invalid = isinstance(error, OSError) and error.errno == errno.EINVAL
    return os.name == "nt" and is_invalid and error.filename is None


def discard_unwritten_output() -> None:
    """Let go of what cannot be written (disk full, reader gone): Python would try again at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
