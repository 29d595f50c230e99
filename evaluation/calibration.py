"""How far a network's probabilities can be trusted: calibration error, and the temperature that mends it.

Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks": of the pixels that
get a probability of 80 %, 80 % should be right. Networks are surer than that; dividing all scores by
one number, the temperature, changes no class and brings the probabilities near the truth. Training
fits it, predict.py and load() use it, and the scores hold what is left of the error.
"""

import numpy as np

from evaluation.segmenter import Segmenter
from mini_batch_loader import DatasetPreProcessor

BINS = 15  # as in the paper
# Pixels that the temperature is fitted on: one number needs no more, and they fit into memory.
_SAMPLE = 100_000
_LOWEST, _HIGHEST = 0.05, 20.0  # temperatures
_HALVINGS = 20  # of the range: to 6 parts in a million


def count_reliability(
    scores: np.ndarray, truth: np.ndarray, temperature: float
) -> np.ndarray:
    """Sort labelled pixels by the probability of their class.

    Args:
        scores: float (n_class, ...), before softmax.
        truth: int (...), values in [-1, n_class); -1 is left out.
        temperature: what the scores are divided by.

    Returns:
        ndarray: float64 (3, BINS): pixels, sum of their probabilities, how many are right; bin i
        holds the probabilities in (i / BINS, (i + 1) / BINS].
    """
    labelled = truth >= 0
    scores = scores[:, labelled].astype(np.float64) / temperature
    confidence = 1 / np.exp(scores - scores.max(axis=0)).sum(axis=0)
    right = scores.argmax(axis=0) == truth[labelled]
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    columns = None, confidence, right
    return np.stack([np.bincount(bins, column, BINS) for column in columns])


def expected_calibration_error(reliability: np.ndarray) -> float | None:
    """Mean of |share right - mean probability| over the bins, weighted by their pixels.

    Args:
        reliability: as count_reliability() gives it, also added up; without pixels, None results.
    """
    pixels, confidence, right = reliability
    if not pixels.any():
        return None
    return float(np.abs(right - confidence).sum() / pixels.sum())


def calibration_figures(reliability: np.ndarray, temperature: float) -> dict:
    """What scores.json says about the probabilities.

    Args:
        reliability: float64 (2, 3, BINS): with the temperature, and without any (1).
        temperature: of the model.
    """
    bins = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "pixels": int(pixels),
            "probability": confidence / pixels if pixels else None,
            "right": right / pixels if pixels else None,
        }
        for i, (pixels, confidence, right) in enumerate(reliability[0].T.tolist())
    ]
    with_it, without = map(expected_calibration_error, reliability)
    return {
        "temperature": temperature,
        "expected_calibration_error": with_it,
        "without_temperature": without,
        "bins": bins,
    }


def fit_temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the lowest cross entropy, in [0.05, 20].

    Args:
        scores: float (n, n_class), before softmax.
        truth: int (n,), classes; without any pixel, the temperature is 1.
    """
    if not len(truth):
        return 1.0
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    mean_of_truth = scores[np.arange(len(truth)), truth].mean()
    low, high = np.log([_LOWEST, _HIGHEST])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        odds = np.exp(scores / np.exp(middle))
        expected = (odds * scores).sum(axis=1) / odds.sum(axis=1)
        # The slope of the cross entropy by 1 / temperature, which has one zero, as it is convex.
        if expected.mean() > mean_of_truth:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def sample_scores(
    segmenter: Segmenter, dataset: DatasetPreProcessor
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth of evenly spread labelled pixels of all images, for fit_temperature().

    Returns:
        tuple: float32 (n, n_class), int32 (n,).
    """
    share = max(1, _SAMPLE // len(dataset))
    parts = []
    for index in range(len(dataset)):
        image, truth = dataset[index]
        labelled = np.flatnonzero(truth >= 0)
        chosen = labelled[:: -(-len(labelled) // share) or 1]
        for rows, scores in segmenter.strips(image):
            first, end = (row * truth.shape[1] for row in (rows.start, rows.stop))
            here = chosen[(chosen >= first) & (chosen < end)]
            scores = scores.reshape(segmenter.n_class, -1)[:, here - first]
            parts.append((scores.T.astype(np.float32), truth.flat[here]))
    return tuple(map(np.concatenate, zip(*parts, strict=True)))
