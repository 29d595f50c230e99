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
        image_pixels (ndarray): int64 (n_class,), all pixels of the images in which it occurs.
        values (ndarray): float32 (n_class,), the weights, > 0.
    """

    names: list[str]
    ignored: frozenset[int]
    pixels: np.ndarray
    image_pixels: np.ndarray
    values: np.ndarray

    def _rows(self) -> list[int]:
        """Numbers of the classes that are not ignored, largest weight first."""
        order = np.argsort(-self.values, kind="stable").tolist()
        return [number for number in order if number not in self.ignored]

    def as_table(self) -> str:
        """For a terminal: a line a class, the largest weight first."""
        rows = [["class", "share of pixels where it occurs", "weight in the loss"]]
        for n in self._rows():
            seen = self.image_pixels[n] > 0
            share = self.pixels[n] / self.image_pixels[n] if seen else None
            rows.append([self.names[n], percent(share, 2), f"{self.values[n]:.2f}"])
        return align(rows)

    def as_csv(self) -> str:
        """For a file: class, pixels, pixels of the images in which it occurs, weight."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "pixels", "pixels_of_its_images", "weight"])
        for n in self._rows():
            counts = int(self.pixels[n]), int(self.image_pixels[n])
            writer.writerow([self.names[n], *counts, f"{self.values[n]:.4f}"])
        return text.getvalue()

    def write(self, folder: str) -> None:
        """Store the weights in ``class_weights.csv``."""
        write_text(os.path.join(folder, "class_weights.csv"), self.as_csv())


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
    table = dataset.args.label_table
    counts = summary.pixels[:-1], summary.image_pixels[:-1]  # without the unlabelled
    weights = median_frequency_weights(*counts, power)
    class_weights = ClassWeights(table.names, table.ignored, *counts, weights)
    print(class_weights.as_table() + "\n")
    return class_weights


def median_frequency_weights(
    pixels: np.ndarray, image_pixels: np.ndarray, power: float
) -> np.ndarray:
    """Median frequency balancing, softened: (median frequency / frequency) ** power, at most 10.

    Eigen and Fergus (*Predicting Depth, Surface Normals and Semantic Labels*, 2015, section 6)
    have power 1. The frequency of a class is its pixels divided by all pixels of the images in
    which it occurs; the median is over the classes that occur.

    Args:
        pixels (ndarray): int (n_class,), pixels of each class.
        image_pixels (ndarray): int (n_class,), all pixels of the images in which it occurs.
        power: 0 gives all classes the same weight.

    Returns:
        ndarray: float32 (n_class,). A class that does not occur gets the largest weight of those
        that do: it may still occur in labels that were not counted.
    """
    occurs = pixels > 0
    if not occurs.any():
        return np.ones(len(pixels), np.float32)
    frequency = pixels[occurs] / image_pixels[occurs]
    known = np.minimum((np.median(frequency) / frequency) ** power, _LARGEST)
    weights = np.full(len(pixels), known.max(), np.float32)
    weights[occurs] = known
    return weights
