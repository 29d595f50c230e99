"""The photo dark, as it is and bright, normalised in three ways: the figure of GCN and LCN."""

import numpy as np

from learning.pictures import jpeg, normalized_photo, png
from learning.subject import Subject

NORMALIZERS = ("GCN", "LCN", "none")
_BINS = 32


def figure(subject: Subject) -> dict:
    """What the network is given, its histogram, and what it predicts."""
    versions = lights(subject.photo)
    predicted: dict[str, list[np.ndarray]] = {}
    cells = []
    for normalizer in NORMALIZERS:
        for light, photo in versions.items():
            x = subject.normalized(photo, normalizer)
            classes = subject.classes(x[None])[0]
            predicted.setdefault(normalizer, []).append(classes)
            cells.append(
                {
                    "normalizer": normalizer,
                    "light": light,
                    "input": jpeg(normalized_photo(x, normalizer)),
                    "histogram": histogram(x),
                    "mean": f"{round(float(x.mean()), 2) + 0.0:.2f}",
                    "deviation": f"{x.std():.2f}",
                    "classes": png(subject.args.label_table.colors_of_classes(classes)),
                }
            )
    return {
        "photos": {light: jpeg(photo) for light, photo in versions.items()},
        "cells": cells,
        "trained_with": subject.args.normalizer,
        "agreement": {
            name: float((dark == bright).mean())
            for name, (dark, bright) in predicted.items()
        },
    }


def lights(photo: np.ndarray) -> dict[str, np.ndarray]:
    """A photo with less and with more light: uint8, clipped as a camera does."""
    dark = 0.4 * photo.astype(np.float32)
    bright = 1.2 * photo.astype(np.float32) + 50
    return {
        "dark": np.rint(dark).astype(np.uint8),
        "bright": np.clip(np.rint(bright), 0, 255).astype(np.uint8),
    }


def histogram(x: np.ndarray) -> list[float]:
    """Shares of the values in 32 bins from -3 to 3, the outer ones included; the largest is 1."""
    counts = np.histogram(np.clip(x, -2.999, 2.999), bins=_BINS, range=(-3, 3))[0]
    return (counts / counts.max()).round(3).tolist()
