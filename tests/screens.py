"""A terminal of a given width for a run, and the screen it shows; real pty, pyte draws."""

import os
import re
import select
import struct
import sys
from functools import partial

import pyte
import pytest
from tiny_run import TIME_LIMIT, TinyRun

fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))


class Shown:
    """What a program wrote to a terminal.

    Attributes:
        text (str): every byte that it sent.
        lines (list of str): of the screen at the end.
        colors (list of str): escape sequences that set a colour.
    """

    def __init__(self, text: str, columns: int):
        screen = pyte.HistoryScreen(columns, 200, history=1000)
        pyte.Stream(screen).feed(text)
        self.text = text
        self.lines = [line.rstrip() for line in screen.display]
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        self.colors = re.findall(r"\x1b\[[\d;]*m", text)


def train_in_terminal(
    run: TinyRun, columns: int, *options: str, **environment
) -> Shown:
    """Train in another process whose output is a terminal of so many columns."""
    controller, terminal = pty.openpty()
    size = struct.pack("HHHH", 50, columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    attach = partial(_attach, os.ttyname(terminal), {"TERM": "xterm", **environment})
    process = run.start(*options, prepare=attach)
    text = b""
    while select.select([controller], [], [], 0.1)[0] or process.is_alive():
        if select.select([controller], [], [], 0)[0]:
            text += os.read(controller, 1 << 16)
    process.join(TIME_LIMIT)
    os.close(terminal)
    os.close(controller)
    assert process.exitcode == 0, text.decode()
    return Shown(text.decode(), columns)


def _attach(name: str, environment: dict[str, str]) -> None:
    """Make a terminal this process's output."""
    os.environ.pop("COLUMNS", None)
    os.environ.update(environment)
    terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(terminal, number)
        setattr(sys, stream, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
