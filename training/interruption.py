"""Lets a run end in order when it is asked to: SIGTERM, Ctrl-C, a closed terminal."""

import os
import signal


class Interrupted(Exception):
    """The run was asked to end, and all that it needs to go on is stored."""


class StopSignals:
    """Within the block, a signal sets a flag that the training looks at after each iteration.

    A second Ctrl-C ends the process at once: the kernel then handles it, which does not wait for
    NumPy to return to Python.

    Attributes:
        received (int or None): the first signal.
    """

    def __init__(self):
        self.received: int | None = None
        self._previous: dict = {}

    def __enter__(self) -> None:
        for number in _signals():
            self._previous[number] = signal.signal(number, self._ask_to_end)

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """As a shell reports the signal: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + self.received

    @property
    def reason(self) -> str:
        """What the user calls the signal."""
        is_ctrl_c = self.received == signal.SIGINT
        return "Ctrl-C" if is_ctrl_c else signal.Signals(self.received).name

    def _ask_to_end(self, number: int, frame) -> None:
        if self.received is None:
            self.received = number
            if number == getattr(signal, "SIGHUP", None):
                _write_to_nowhere()  # the terminal is gone: writing to it would fail
            # print() cannot be used: the signal may have come while it was running.
            wipe = b"\033[J" if os.isatty(2) else b""  # of the progress bar
            message = b"ending after this iteration; Ctrl-C (again) ends at once\n"
            os.write(2, b"\n" + wipe + message)
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _write_to_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    os.close(nowhere)


def _signals() -> list[int]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGBREAK"):  # Windows: Ctrl-Break
        numbers.append(signal.SIGBREAK)
    # Under nohup SIGHUP is ignored, so that the run outlives its terminal: leave it so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
