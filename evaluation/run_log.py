"""Reads back what a training run left in its output folder; visualizer.py and report.py show it."""

import json
import math
import os

from files.errors import UserError
from files.yaml_reader import flatten, read_yaml


def read_log(folder: str) -> list[dict]:
    """The entries of a run's log, one an epoch.

    Raises:
        UserError: there is no log, or it is broken.
    """
    path = os.path.join(folder, "log")
    try:
        with open(path, encoding="utf-8") as file:
            log = json.load(file)
    except OSError as error:
        raise UserError(
            f"{folder}: no training has left its log there: {path}: {error.strerror}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: not a log of a training: {error}") from None
    if not (isinstance(log, list) and log and all(isinstance(e, dict) for e in log)):
        raise UserError(f"{path}: not a log of a training: no list of epochs in it")
    return log


def read_config_text(folder: str) -> str:
    """The configuration that a run used, as text.

    Raises:
        UserError: there is none.
    """
    path = os.path.join(folder, "config.yaml")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def read_config(folder: str) -> dict[str, object]:
    """The configuration that a run used, its sections flattened: {"a.b": value}.

    Raises:
        UserError: there is none, or it is broken.
    """
    return flatten(read_yaml(os.path.join(folder, "config.yaml"))[0])


def series(log: list[dict], key: str) -> list[float]:
    """The values of a key, one an epoch; NaN where an entry has none."""
    values = (entry.get(key) for entry in log)
    return [float(v) if isinstance(v, int | float) else math.nan for v in values]


def best_entry(log: list[dict]) -> int:
    """Index of the epoch with the best validation mean IoU, the first of equals."""
    miou = series(log, "validation/main/miou")
    return max(range(len(log)), key=lambda i: (not math.isnan(miou[i]), miou[i]))
