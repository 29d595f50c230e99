"""Makes printing safe: streams that are closed, full, or know few characters; run_program() calls it."""

import os
import sys


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


def discard_unwritten_output() -> None:
    """Let go of what cannot be written (disk full, reader gone): Python would try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
