"""Shows a line an epoch, on the screen and in the log; train.py's extensions."""

import json
import os
import sys
import time

import chainer_compat

import chainer
import numpy as np
from chainer.training import extension

from files.whole_file import write_text

# Log key, heading, format of the columns of the table of epochs.
_COLUMNS = (
    ("main/loss", "loss", "{:10.4f}"),
    ("main/accuracy", "accuracy", "{:10.1%}"),
    ("main/miou", "mean IoU", "{:10.1%}"),
    ("validation/main/loss", "loss", "{:12.4f}"),
    ("validation/main/accuracy", "accuracy", "{:10.1%}"),
    ("validation/main/miou", "mean IoU", "{:10.1%}"),
)


class Log(chainer.training.extensions.LogReport):
    """LogReport that writes its file whole or not at all, and again when a run is resumed."""

    default_name = "LogReport"

    def __init__(self):
        super().__init__(log_name=None)

    def initialize(self, trainer) -> None:
        if self.log:
            self._write(trainer)

    def __call__(self, trainer) -> None:
        entries = len(self.log)
        super().__call__(trainer)
        if len(self.log) > entries:
            self._write(trainer)

    def _write(self, trainer) -> None:
        path = os.path.join(trainer.out, "log")
        write_text(path, json.dumps(self.log, indent=4))


class EpochTable(extension.Extension):
    """Prints one line an epoch; Chainer's PrintReport would need 170 columns.

    Args:
        epochs (int): of the whole training.
        bar (bool): whether Chainer's progress bar stands below.
        out: where to print.
    """

    def __init__(self, epochs: int, bar: bool = False, out=sys.stdout):
        self._epochs = epochs
        self._bar = bar
        self._out = out
        self._start = 0.0

    def initialize(self, trainer) -> None:
        self._start = time.monotonic()
        if trainer.updater.epoch >= self._epochs:  # a finished run that was resumed
            return
        groups = f"{'':9}{'training':>30}{'validation':>32}"
        headings = "".join(f"{h:>{len(form.format(0))}}" for _, h, form in _COLUMNS)
        self._print(f"{groups}\n{'epoch':>9}{headings}{'seconds':>10}")

    def __call__(self, trainer) -> None:
        epoch = trainer.updater.epoch
        now = time.monotonic()
        figures = trainer.get_extension("LogReport").log[-1]
        cells = "".join(
            form.format(figures.get(key, np.nan)) for key, _, form in _COLUMNS
        )
        self._print(f"{epoch:4}/{self._epochs:<4}{cells}{now - self._start:10.1f}")
        self._start = now

    def _print(self, text: str) -> None:
        # The bar stands below the cursor: wipe it first.
        wipe = "\033[J" if self._bar else ""
        print(wipe + text, file=self._out, flush=True)
