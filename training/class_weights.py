"""Weighs the classes in the loss by how rare they are; train.py calls it."""

import csv
import io
import os
from dataclasses import dataclass

import numpy as np

from dataset.label_table import LabelTable
from files.text_table import align, percent
from files.whole_file import write_text
from mini_batch_loader import DatasetPreProcessor
from training.data_summary import ListSummary, spread_out, survey

# Labels that are counted; of a longer list, so many, spread over it.
_COUNTED = 1000
_LARGEST = 10.0


@dataclass(frozen=True)
class ClassWeights:
    """What a pixel of each class counts.

    Args:
        names (tuple of str): (n_class,).
        pixels (ndarray): int64 (n_class,), pixels of each class in the labels counted.
        values (ndarray): float32 (n_class,), 0 for a class that does not occur.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    values: np.ndarray

    def _rows(self) -> list[tuple[str, int, float]]:
        """Name, pixels and weight of the classes that occur, rarest first."""
        numbers = [n for n in np.argsort(self.pixels, kind="stable") if self.pixels[n]]
        return [(self.names[n], int(self.pixels[n]), self.values[n]) for n in numbers]

    def as_table(self) -> str:
        """For a terminal: a line a class that occurs, the rarest first."""
        total = max(int(self.pixels.sum()), 1)
        rows = [["class", "share of pixels", "weight in the loss"]]
        for name, pixels, value in self._rows():
            rows.append([name, percent(pixels / total, 2), f"{value:.2f}"])
        return align(rows)

    def write(self, folder: str) -> None:
        """Store the weights in ``class_weights.csv``."""
        write_text(os.path.join(folder, "class_weights.csv"), self.as_csv())

    def as_csv(self) -> str:
        """For a file: class, pixels, weight."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "pixels", "weight"])
        for name, pixels, value in self._rows():
            writer.writerow([name, pixels, f"{value:.4f}"])
        return text.getvalue()


def count_class_weights(dataset: DatasetPreProcessor) -> ClassWeights | None:
    """Weights from the labels of a list (of up to 1,000 of them), and print them.

    Returns:
        ClassWeights: for the power in ``training_params.class_weights``; None where that is 0.

    Raises:
        UserError: a label cannot be read.
    """
    power = dataset.args.training_params.class_weights
    if not power:
        return None
    summary = ListSummary("train", dataset)
    indices = spread_out(len(dataset), _COUNTED)
    jobs = dataset.args.loader_jobs
    for index in survey(summary, indices, dataset.scaled_pair, jobs):
        if summary.problems:
            raise summary.problems[index]
    table: LabelTable = dataset.args.label_table
    pixels = summary.pixels[:-1]  # without the unlabelled
    weights = median_frequency_weights(pixels, power)
    class_weights = ClassWeights(table.names, pixels, weights)
    print(class_weights.as_table() + "\n")
    return class_weights


def median_frequency_weights(pixels: np.ndarray, power: float) -> np.ndarray:
    """(median frequency / frequency) ** power, at most 10.

    Eigen and Fergus (2015) balance with power 1. The median is over the classes that occur.

    Args:
        pixels (ndarray): int (n_class,), pixels of each class.
        power: 0 gives all classes that occur the same weight.

    Returns:
        ndarray: float32 (n_class,); 0 for a class that does not occur.
    """
    weights = np.zeros(len(pixels), np.float32)
    occurs = pixels > 0
    if occurs.any():
        ratio = np.median(pixels[occurs]) / pixels[occurs]
        weights[occurs] = np.minimum(ratio**power, _LARGEST)
    return weights
