"""What one sees of a training: a table of epochs, curves, pictures; train.py's extensions."""

import os
import sys
import time

import chainer_compat

import numpy as np
from chainer.training import extension

from evaluation import panels
from evaluation.figures import draw_curves
from evaluation.scoring import example_row
from evaluation.segmenter import Segmenter
from mini_batch_loader import DatasetPreProcessor

# Log key, heading, format of the columns of the table of epochs.
_COLUMNS = (
    ("main/loss", "loss", "{:10.4f}"),
    ("main/accuracy", "accuracy", "{:10.1%}"),
    ("main/miou", "mean IoU", "{:10.1%}"),
    ("validation/main/loss", "loss", "{:12.4f}"),
    ("validation/main/accuracy", "accuracy", "{:10.1%}"),
    ("validation/main/miou", "mean IoU", "{:10.1%}"),
)
# Drawing the curves takes 0.2 s. It may take up one part in so many of the training's time.
_RARENESS = 5
# Validation images that are drawn.
_SHOWN = 4


class EpochTable(extension.Extension):
    """Prints one line an epoch; Chainer's PrintReport would need 170 columns.

    Args:
        epochs (int): of the whole training.
        bar (bool): whether Chainer's progress bar stands below.
        out: where to print.
    """

    trigger = (1, "epoch")

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


class Curves(extension.Extension):
    """Draws ``curves.png`` after each epoch that takes a second, and at the end.

    Of shorter epochs some are left out, so that drawing never takes more than a fifth of
    the time.
    """

    trigger = (1, "epoch")

    def __init__(self):
        self._next_time = 0.0
        self._late_trainer = None

    def initialize(self, trainer) -> None:
        # A run that was killed after its last snapshot may not have drawn its last epochs.
        if trainer.get_extension("LogReport").log:
            self._late_trainer = trainer

    def __call__(self, trainer) -> None:
        start = time.monotonic()
        if start < self._next_time:
            self._late_trainer = trainer
            return
        self._draw(trainer)
        end = time.monotonic()
        self._next_time = end + (end - start) * (_RARENESS - 1)

    def finalize(self) -> None:
        if self._late_trainer is not None:
            self._draw(self._late_trainer)

    def _draw(self, trainer) -> None:
        log = trainer.get_extension("LogReport").log
        draw_curves(log, os.path.join(trainer.out, "curves.png"))
        self._late_trainer = None


class ProgressPictures(extension.Extension):
    """Draws ``progress/epoch_0005.png``: the same few validation images each time, and at the end.

    Args:
        segmenter (Segmenter): the model in training.
        dataset (DatasetPreProcessor): the validation images.
    """

    def __init__(self, segmenter: Segmenter, dataset: DatasetPreProcessor):
        self._segmenter = segmenter
        self._dataset = dataset
        spread = np.linspace(0, len(dataset) - 1, min(_SHOWN, len(dataset)))
        self._indices = [int(i) for i in spread]
        self._trainer = None
        self._drawn_epoch = None

    def initialize(self, trainer) -> None:
        self._trainer = trainer

    def finalize(self) -> None:
        # Not in the middle of an epoch, where an interrupted training stops.
        updater = self._trainer.updater if self._trainer else None
        if updater and updater.is_new_epoch and updater.epoch != self._drawn_epoch:
            self(self._trainer)

    def __call__(self, trainer) -> None:
        epoch = self._drawn_epoch = trainer.updater.epoch
        rows = [
            example_row(self._segmenter, self._dataset, i, self._dataset.names[i])
            for i in self._indices
        ]
        panels.draw_rows(
            os.path.join(trainer.out, "progress", f"epoch_{epoch:04d}.png"),
            f"Validation images {f'after epoch {epoch}' if epoch else 'before training'}",
            panels.HEADINGS,
            rows,
            self._dataset.args.label_table,
        )
