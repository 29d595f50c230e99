"""What part of the photo a score depends on, and how much: the figure of the receptive fields."""

import chainer
import numpy as np

from fcn_squeeze import FCN
from learning.layer_table import layers_of
from learning.pictures import heat, jpeg, sheet
from learning.subject import Subject

_ROWS, _COLUMNS = 4, 6  # positions whose gradient is computed
_AT_ONCE = 4  # images in a batch
_SHARE = 0.9  # of the gradient, that the stated square holds


def figure(subject: Subject) -> dict:
    """Gradients of scores in a grid of positions, before and after training."""
    x = subject.normalized(subject.photo)
    places = positions(*x.shape[1:])
    classes = [int(c) for c in subject.classes(x[None])[0][tuple(np.transpose(places))]]
    after = gradients(subject.model, x, places, classes)
    before = gradients(subject.fresh, x, places, classes)
    sides_before, sides_after = sides(before, places), sides(after, places)
    return {
        "places": places,
        "columns": _COLUMNS,
        "rows": _ROWS,
        "before": _sprite(before),
        "after": _sprite(after),
        "sides_before": sides_before,
        "sides_after": sides_after,
        "mean_before": round(float(np.mean(sides_before))),
        "mean_after": round(float(np.mean(sides_after))),
        "share": f"{_SHARE:.0%}",
        "layers": [
            n for n in layers_of(subject.model) if "/" not in n and n != "concat"
        ],
    }


def positions(height: int, width: int) -> list[tuple[int, int]]:
    """(row, column) of the middles of a grid of cells."""
    rows = [(2 * i + 1) * height // (2 * _ROWS) for i in range(_ROWS)]
    columns = [(2 * i + 1) * width // (2 * _COLUMNS) for i in range(_COLUMNS)]
    return [(row, column) for row in rows for column in columns]


def gradients(
    model: FCN, x: np.ndarray, places: list, classes: list[int]
) -> np.ndarray:
    """How much each pixel of an image moves a score (Luo et al. 2016).

    Args:
        model: a network.
        x: float32 (C, H, W), normalised.
        places: (row, column) of each score.
        classes: the class of each score.

    Returns:
        ndarray: float32 (places, H, W): of the score's derivatives by the pixel's channels, the
        sum of the magnitudes.
    """
    found = []
    for first in range(0, len(places), _AT_ONCE):
        chosen = slice(first, first + _AT_ONCE)
        some = [(c, *place) for c, place in zip(classes[chosen], places[chosen])]
        images = chainer.Variable(np.repeat(x[None], len(some), axis=0))
        with chainer.using_config("train", False):
            scores = model.scores(images)
        scores.grad = np.zeros_like(scores.array)
        for n, (c, row, column) in enumerate(some):
            scores.grad[n, c, row, column] = 1
        scores.backward()
        model.cleargrads()
        found.append(np.abs(images.grad).sum(axis=1))
    return np.concatenate(found)


def sides(gradient: np.ndarray, places: list[tuple[int, int]]) -> list[int]:
    """Side of the square around each score's pixel that holds 90 % of its gradient."""
    found = []
    for values, (row, column) in zip(gradient, places, strict=True):
        down, right = np.ogrid[: values.shape[0], : values.shape[1]]
        distance = np.maximum(abs(down - row), abs(right - column))
        held = np.cumsum(np.bincount(distance.ravel(), weights=values.ravel()))
        found.append(2 * int(np.searchsorted(held, _SHARE * held[-1])) + 1)
    return found


def _sprite(gradient: np.ndarray) -> str:
    # The root shows what the few strongest pixels would hide.
    return jpeg(sheet(np.stack([heat(np.sqrt(g)) for g in gradient]), _COLUMNS), 80)
