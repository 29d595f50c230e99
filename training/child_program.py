"""Runs another program of this project in a process of its own, which may be asked to end; for cross_validate.py.

Started as a program, it is that process: it runs the other program, and ends it in order when the
process that started it is gone.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent


def run_child(
    program: str, arguments: list[str], is_shown: Callable[[str], bool]
) -> int:
    """Run a program until it ends, and print some of its lines; its errors go to the same terminal.

    The child decides when to end: Ctrl-C reaches it by itself, SIGTERM and SIGHUP are passed on,
    and this process waits for it. If this process is killed, the child gets a SIGTERM.

    Args:
        program: its name in the project's folder.
        arguments: of its command line.
        is_shown: whether a line of its standard output is printed.

    Returns:
        int: its exit code, 128 + the number of a signal that ended it, as a shell counts. 130 or
        143, too, where a signal came but the child ended well.
    """
    child: subprocess.Popen | None = None
    received: list[int] = []

    def pass_on(number: int, frame) -> None:
        received.append(number)
        if child is not None and number != signal.SIGINT:
            child.send_signal(number)

    previous = {n: signal.signal(n, pass_on) for n in _signals()}
    try:
        sys.stdout.flush()
        words = [sys.executable, __file__, str(_PROJECT / program), *arguments]
        pipe = subprocess.PIPE
        # A pipe as its standard input, which the system closes when this process ends, however.
        with subprocess.Popen(
            words, stdin=pipe, stdout=pipe, encoding="utf-8", errors="replace"
        ) as child:
            if received and received[0] != signal.SIGINT:  # before there was a child
                child.send_signal(received[0])
            for line in child.stdout:
                if is_shown(line):
                    _print_above_bar(line)
            code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if code < 0:
        return 128 - code
    return code or (128 + received[0] if received else 0)


def _print_above_bar(line: str) -> None:
    """Print a line over the progress bar that the child may have drawn on the terminal."""
    wipe = "\r\033[K" if sys.stdout.isatty() and sys.stderr.isatty() else ""
    with suppress(OSError):  # the terminal may be gone; the child shall end in order
        print(wipe + line, end="", flush=True)


def _signals() -> list[int]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Under nohup SIGHUP is ignored, so that the run outlives its terminal: leave it so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _end_without_parent() -> None:
    """Ask this process to end when its standard input is closed."""
    with suppress(OSError):
        while os.read(0, 1 << 10):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _run_as_child(program: str, arguments: list[str]) -> None:
    threading.Thread(target=_end_without_parent, daemon=True).start()
    sys.path[0] = str(_PROJECT)
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    _run_as_child(sys.argv[1], sys.argv[2:])
