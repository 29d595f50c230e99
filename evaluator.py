"""Pixel accuracy, IoU, Dice, recall and precision, all from one confusion matrix.

The network asks an Evaluator for the figures of a batch; train.py and predict.py add the
confusion matrices up and ask summarize() for the figures of a whole set.
"""

import chainer_compat

import chainer
import numpy as np

from layers import functions


def confusion_matrix(truth, prediction, n_class: int):
    """Count pixels by true and predicted class.

    Args:
        truth (ndarray): int32, any shape, values in [-1, n_class); -1 is left out.
        prediction (ndarray): int, the same shape, values in [0, n_class).
        n_class (int): number of classes.

    Returns:
        ndarray: int64 (n_class, n_class); row = truth, column = prediction. It stays on the
        device of the arguments.
    """
    # A row for -1 comes first and is cut off: cheaper than a boolean index, which would copy
    # both arrays and wait for a GPU.
    index = (truth.ravel() + 1) * n_class + prediction.ravel()
    counts = functions.bincount(index, (n_class + 1) * n_class)[n_class:]
    return counts.reshape(n_class, n_class).astype(np.int64, copy=False)


def _share(part: np.ndarray, whole: np.ndarray, where: np.ndarray, otherwise: float):
    """part / whole where whole is not 0 and the class counts, else the given value."""
    share = np.full(part.shape, otherwise)
    np.divide(part, whole, out=share, where=where & (whole > 0))
    return share


def class_figures(confusion: np.ndarray, absent: float) -> dict[str, np.ndarray]:
    """IoU, Dice, recall and precision of each class.

    IoU = TP / (TP + FP + FN), recall = TP / (TP + FN), precision = TP / (TP + FP), after the
    PASCAL VOC challenge (Everingham et al. 2010) and Long et al. (2015). Dice (1945), also
    called F1, = 2 TP / (2 TP + FP + FN).

    Args:
        confusion (ndarray): int64 (n_class, n_class); row = truth, column = prediction.
        absent (float): what a class that never occurs in the truth gets.

    Returns:
        dict: ``iou``, ``dice``, ``recall``, ``precision``: float64 (n_class,). A class that
        occurs but is never predicted has precision 0.
    """
    true_positive = np.diag(confusion)
    in_truth = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    present = in_truth > 0
    union = in_truth + predicted - true_positive
    figures = {
        "iou": _share(true_positive, union, present, absent),
        "dice": _share(2 * true_positive, in_truth + predicted, present, absent),
        "recall": _share(true_positive, in_truth, present, absent),
        "precision": _share(true_positive, predicted, present, absent),
    }
    figures["precision"][present & (predicted == 0)] = 0.0
    return figures


def summarize(confusion: np.ndarray) -> dict:
    """The figures of a whole set: classes absent from the truth are left out of the means.

    Args:
        confusion (ndarray): int64 (n_class, n_class), summed over the set.

    Returns:
        dict: ``pixel_accuracy``, ``mean_iou`` and ``mean_dice`` (float, NaN if no pixel is
        labelled), and ``iou``, ``dice``, ``recall``, ``precision`` (float64 (n_class,), NaN where a class is absent),
        ``pixels`` (int64 (n_class,), labelled pixels of each class).
    """
    figures = class_figures(confusion, absent=np.nan)
    pixels = confusion.sum(axis=1)
    total = pixels.sum()
    figures["pixels"] = pixels
    figures["pixel_accuracy"] = np.trace(confusion) / total if total else np.nan
    for name in ("iou", "dice"):
        figures[f"mean_{name}"] = figures[name][pixels > 0].mean() if total else np.nan
    return figures


class Evaluator:
    """The figures of one batch, as the chapter computes them.

    Args:
        gpu (bool or int): unused, kept for the chapter's call.
        n_class (int): number of classes.
    """

    def __init__(self, gpu, n_class: int):
        self.gpu = gpu
        self.n_class = n_class
        # On the device; brought to the host when a figure is asked for.
        self.confusion = None

    def preparation(self, predictions, truths) -> None:
        """Take a batch.

        Args:
            predictions (Variable or ndarray): (N, n_class, H, W) scores.
            truths (Variable or ndarray): int32 (N, H, W), -1 is left out.
        """
        scores = chainer.as_array(predictions)
        truth = chainer.as_array(truths)
        self.confusion = confusion_matrix(truth, functions.argmax(scores), self.n_class)

    def _on_host(self) -> np.ndarray:
        return chainer.backends.cuda.to_cpu(self.confusion)

    def _figures(self) -> dict[str, np.ndarray]:
        return class_figures(self._on_host(), absent=0.0)

    def get_accuracy(self) -> float:
        """Share of labelled pixels classified rightly; NaN if there are none."""
        return float(summarize(self._on_host())["pixel_accuracy"])

    def get_iou(self) -> np.ndarray:
        """float64 (n_class,): TP / (TP + FP + FN); 0 for a class absent from the truth."""
        return self._figures()["iou"]

    def get_ar(self) -> np.ndarray:
        """float64 (n_class,): recall, TP / (TP + FN); 0 for a class absent from the truth."""
        return self._figures()["recall"]

    def get_ap(self) -> np.ndarray:
        """float64 (n_class,): precision, TP / (TP + FP); 0 for a class absent or never predicted."""
        return self._figures()["precision"]
