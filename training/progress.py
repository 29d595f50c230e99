"""Extensions of Chainer's Trainer that let one watch a training: curves, and what is predicted."""

import os
import time

import chainer_compat

import numpy as np
from chainer.training import extension

from evaluation import panels
from evaluation.scoring import example_row
from evaluation.segmenter import Segmenter
from mini_batch_loader import DatasetPreProcessor
from visualizer import draw_curves

# Of the time of a training, at most one part in so many goes into drawing curves: epochs of a
# second or more have theirs drawn each time, 0.2 s.
_RARENESS = 5
_SHOWN = 4


class Curves(extension.Extension):
    """Draws ``curves.png`` after each epoch that takes a second, and at the end.

    Of shorter epochs some are left out, so that drawing never takes more than a fifth of
    the time.
    """

    trigger = (1, "epoch")

    def __init__(self):
        self._next_time = 0.0
        self._late_trainer = None

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
