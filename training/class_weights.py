"""Weighs the classes in the loss by how rare they are; train.py calls it."""

import csv
import io
import os
from dataclasses import dataclass

import numpy as np

from files.text_table import align, percent
from files.whole_file import write_text
from mini_batch_loader import DatasetPreProcessor
from training.data_summary import ListSummary, spread_out, survey

# Labels that are counted; of a longer list, so many, spread over it.
_COUNTED = 1000
_LARGEST = 10.0


@dataclass(frozen=True)
class ClassWeights:
    """What the loss of a class's pixels is multiplied by.

    Args:
        names (list of str): (n_class,).
        ignored (frozenset of int): classes that the loss leaves out.
        pixels (ndarray): int64 (n_class,), pixels of each class in the labels counted.
        values (ndarray): float32 (n_class,), the weights, > 0.
    """

    names: list[str]
    ignored: frozenset[int]
    pixels: np.ndarray
    values: np.ndarray

    def _rows(self) -> list[int]:
        """Numbers of the classes that are not ignored, largest weight first."""
        order = np.argsort(-self.values, kind="stable").tolist()
        return [number for number in order if number not in self.ignored]

    def as_table(self) -> str:
        """For a terminal: a line a class that occurs, the largest weight first; one for the others."""
        total = max(int(self.pixels.sum()), 1)
        rows = [["class", "pixels", "weight"]]
        for n in self._rows():
            if self.pixels[n]:
                share = percent(self.pixels[n] / total, 2)
                rows.append([self.names[n], share, f"{self.values[n]:.2f}"])
        absent = [n for n in self._rows() if not self.pixels[n]]
        if absent:
            weight = f"{self.values[absent[0]]:.2f}"
            rows.append([f"({len(absent)} not in labels)", percent(0, 2), weight])
        return "class weights in the loss:\n" + align(rows)

    def as_csv(self) -> str:
        """For a file: class, pixels, weight."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "pixels", "weight"])
        for n in self._rows():
            weight = f"{self.values[n]:.4f}"
            writer.writerow([self.names[n], int(self.pixels[n]), weight])
        return text.getvalue()

    def write(self, folder: str) -> None:
        """Store the weights in ``class_weights.csv``."""
        write_text(os.path.join(folder, "class_weights.csv"), self.as_csv())


def count_class_weights(dataset: DatasetPreProcessor) -> ClassWeights | None:
    """Weights from the labels of a list (of up to 1,000 of them).

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
    table = dataset.args.label_table
    pixels = summary.pixels[:-1]  # without the unlabelled
    weights = rarity_weights(pixels, power)
    return ClassWeights(table.names, table.ignored, pixels, weights)


def rarity_weights(pixels: np.ndarray, power: float) -> np.ndarray:
    """(median / pixels) ** power, at most 10: the rarer a class is, the more its pixels count.

    Args:
        pixels (ndarray): int (n_class,), pixels of each class; the median is over the classes
            that occur.
        power: 0 gives all classes the same weight.

    Returns:
        ndarray: float32 (n_class,). A class that does not occur gets the largest weight of those
        that do: it may still occur in labels that were not counted.
    """
    occurs = pixels > 0
    if not occurs.any():
        return np.ones(len(pixels), np.float32)
    ratio = np.median(pixels[occurs]) / pixels[occurs]
    known = np.minimum(ratio**power, _LARGEST)
    weights = np.full(len(pixels), known.max(), np.float32)
    weights[occurs] = known
    return weights
