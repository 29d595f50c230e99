"""What one sees of a training: a table of epochs, curves, pictures; train.py's extensions."""

import os
import time

import numpy as np
from chainer.training import extension

from evaluation import panels
from evaluation.figures import draw_curves
from evaluation.scoring import example_row
from evaluation.segmenter import Segmenter
from files.progress_bar import print_above, progress_bar, terminal_width
from mini_batch_loader import DatasetPreProcessor

# Log key, heading, format of the columns of the table of epochs.
_LOSS = ("main/loss", "loss", "{:10.4f}")
_ACCURACY = ("main/accuracy", "accuracy", "{:10.1%}")
_MIOU = ("main/miou", "mean IoU", "{:10.1%}")
# What the table holds: the first of these that the terminal is wide enough for.
_TABLES = (
    ((_LOSS, _ACCURACY, _MIOU), (_LOSS, _ACCURACY, _MIOU)),  # 79 columns
    ((_LOSS, _MIOU), (_LOSS, _MIOU)),  # 59 columns
    ((_LOSS,), (_LOSS, _MIOU)),  # 39 columns
)
# A network that guesses has a cross entropy of about ln(classes), 3.5 for 32 of them; weights of
# classes (up to 10) and the Lovász loss (up to 100) add to it, but never come near this.
_LARGEST_LOSS = 1000
_GROUPS = "training", "validation"
# Drawing the curves takes 0.2 s, and may take one part in so many of the training's time.
_RARENESS = 5
# Validation images that are drawn.
_SHOWN = 4


def _cell(form: str, figure: float) -> str:
    """A figure of the table, in 10 columns whatever its size."""
    return form.format(figure) if not figure >= 1e4 else f"{figure:10.2e}"


class EpochTable(extension.Extension):
    """Prints one line an epoch, as wide as the terminal allows; PrintReport would need 170 columns."""

    trigger = (1, "epoch")

    def __init__(self, epochs: int):
        self._epochs = epochs
        self._start = 0.0
        self._columns = _TABLES[0]
        self._has_warned = False

    def initialize(self, trainer) -> None:
        self._start = time.monotonic()
        if trainer.stop_trigger.is_reached(trainer):  # a finished run that was resumed
            return
        width = terminal_width()
        for self._columns in _TABLES:
            headings = self._headings()
            if width is None or len(headings) < width:
                break
        groups = [f"{g:>{10 * len(c)}}" for g, c in zip(_GROUPS, self._columns)]
        print_above(f"{'':9}{''.join(groups)}\n{headings}")

    def _headings(self) -> str:
        cells = [f"{heading:>10}" for c in self._columns for _, heading, _ in c]
        return f"{'epoch':>9}{''.join(cells)}{self._if_wide('seconds')}"

    def __call__(self, trainer) -> None:
        epoch = trainer.updater.epoch
        now = time.monotonic()
        figures = trainer.get_extension("LogReport").log[-1]
        cells = [
            _cell(form, figures.get(prefix + key, np.nan))
            for prefix, columns in zip(("", "validation/"), self._columns)
            for key, _, form in columns
        ]
        seconds = self._if_wide(f"{now - self._start:.1f}")
        print_above(f"{epoch:4}/{self._epochs:<4}{''.join(cells)}{seconds}")
        self._start = now
        losses = "main/loss", "validation/main/loss"
        largest = max(figures.get(key, 0) for key in losses)
        if largest > _LARGEST_LOSS and not self._has_warned:
            self._has_warned = True
            print_above(
                f"warning: the loss is {largest:.3g}, far above that of guessing: the training has "
                "exploded; stop it, and lower training_params.learning_rate"
            )

    def _if_wide(self, cell: str) -> str:
        return "" if self._columns is _TABLES[-1] else f"{cell:>10}"


class EpochBar(extension.Extension):
    """A progress bar that moves with each iteration (so many an epoch), below the table of epochs."""

    # Chainer's (1, "iteration") has a state, which snapshots of runs without a bar lack.
    trigger = staticmethod(lambda trainer: True)

    def __init__(self, epochs: int, iterations: int):
        self._epochs = epochs
        self._iterations = iterations
        self._bar = None

    def initialize(self, trainer) -> None:
        total, done = self._epochs * self._iterations, trainer.updater.iteration
        self._bar = progress_bar(None, total, "batch", self._epoch(trainer), done)

    def __call__(self, trainer) -> None:
        self._bar.set_description_str(self._epoch(trainer), refresh=False)
        self._bar.update(trainer.updater.iteration - self._bar.n)

    def finalize(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _epoch(self, trainer) -> str:
        epoch = min(trainer.updater.epoch + 1, self._epochs)
        return f"epoch {epoch}/{self._epochs}"


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
    """Draws ``progress/epoch_0005.png``: the same few validation images each time, and at the end."""

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
