"""Runs another program of this project in a process of its own, which may be asked to end; for cross_validate.py."""

import signal
import subprocess
import sys

from files.paths import PROJECT


def run_child(program: str, arguments: list[str]) -> int:
    """Run a program until it ends; it writes to the same terminal.

    The child decides when to end: Ctrl-C and a closed terminal reach it by themselves, SIGTERM
    is passed on, and this process waits for it.

    Args:
        program: its name in the project's folder.
        arguments: of its command line.

    Returns:
        int: its exit code, 128 + the number of a signal that ended it, as a shell counts. 130 or
        143, too, where a signal came but the child ended well.
    """
    child: subprocess.Popen | None = None
    received: list[int] = []

    def pass_on(number: int, frame) -> None:
        received.append(number)
        if child is not None and number == signal.SIGTERM:
            child.terminate()

    previous = {n: signal.signal(n, pass_on) for n in _signals()}
    try:
        sys.stdout.flush()
        words = [sys.executable, str(PROJECT / program), *arguments]
        child = subprocess.Popen(words)
        if signal.SIGTERM in received:  # before there was a child
            child.terminate()
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if code < 0:
        return 128 - code
    return code or (128 + received[0] if received else 0)


def _signals() -> list[int]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Under nohup SIGHUP is ignored, so that the run outlives its terminal: leave it so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
