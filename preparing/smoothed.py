"""Finds the colours of the classes in labels that were smoothed or saved as JPEG; label_survey.py calls it."""

from collections import Counter
from itertools import combinations

import numpy as np

# Levels of a channel by which a JPEG or a smoothed edge changes most pixels.
_RADIUS = 24
_LEAST_SHARE = 0.001  # of all pixels around the colour of a class
# The same where the colour lies between those of two classes. Then it may be that of their smoothed
# edge: many pixels have it where edges run along rows and columns.
_LEAST_BETWEEN = 0.02
_PEAK = 0.1  # of the pixels around it: those of exactly its colour
_MOST_SCATTERED = 0.15  # of all pixels: those that are near no class
# Labels were changed if two classes have this many other colours around theirs, which few pixels have:
# at most this share. (The edges of a mask that was made smaller by half have 5.)
_NEIGHBOURS, _MOST_CHANGED = 5, 0.1
# Or if all classes have this many around theirs: no table of classes has colours so close together.
_MANY_NEIGHBOURS = 50

Color = tuple[int, int, int]


def class_colors(pixels: Counter[Color], is_jpeg: bool) -> list[Color] | None:
    """The colours of the classes, in order, or None where labels do not look changed.

    In a changed label each class has a colour of most of its pixels, and many others near it: up to
    24 levels away in a JPEG, or on the way to the neighbouring class at a smoothed edge.

    Args:
        pixels: {(r, g, b): pixels} of all labels.
        is_jpeg: whether labels are known to have been changed.
    """
    ordered = pixels.most_common()
    colors = np.array([color for color, _ in ordered], np.int16)
    counts = np.array([count for _, count in ordered], np.int64)
    total, free = counts.sum(), np.ones(len(counts), bool)
    found, neighbours, near_a_class = [], [], 0
    for place, count in enumerate(counts.tolist()):
        if count < _PEAK * _LEAST_SHARE * total:
            break
        if not free[place]:
            continue
        near = free & (np.abs(colors - colors[place]).max(axis=1) <= _RADIUS)
        around = int(counts[near].sum())
        is_between = _is_between(colors[place], colors[found])
        least = (_LEAST_BETWEEN if is_between else _LEAST_SHARE) * total
        if count >= _PEAK * around and around >= least:
            found.append(place)
            neighbours.append(int(near.sum()) - 1)
            near_a_class += around
            free &= ~near
    scattered = (total - near_a_class) / total
    changed = 1 - counts[found].sum() / total
    looks_changed = (
        sum(number >= _NEIGHBOURS for number in neighbours) > 1
        and changed <= _MOST_CHANGED
    ) or min(neighbours, default=0) >= _MANY_NEIGHBOURS
    if len(found) < 2 or scattered > _MOST_SCATTERED or not (is_jpeg or looks_changed):
        return None
    return sorted(ordered[place][0] for place in found)


def _is_between(color: np.ndarray, others: np.ndarray) -> bool:
    """Whether a colour (3,) is near a line from one to another of the others (n, 3)."""
    for start, end in combinations(others.astype(float), 2):
        part = (color - start) @ (end - start) / ((end - start) @ (end - start))
        if 0 < part < 1:
            offset = color - start - part * (end - start)
            if np.abs(offset).max() <= _RADIUS:
                return True
    return False
