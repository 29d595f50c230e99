"""Finds how long a run is to last that --extend made longer, now or in an earlier command; for train.py."""

import argparse
import os
from contextlib import suppress

from config import Config, read_config, set_global_config
from files.errors import UserError


def extended(config: Config, more: int | None, goes_on: bool) -> Config:
    """The configuration with the epochs that were added to it, which is put into global_config.

    An extension becomes two keys: ``epochs`` grows, and ``restarts`` gets the epoch at which the
    run had ended. Both stand in the config.yaml of the run's folder, where a later command finds
    them.

    Args:
        config: as the user wrote it.
        more: epochs that --extend adds, None without it.
        goes_on: whether the run in output_path is continued; else nothing was added to it.
    """
    params = config.training_params
    if goes_on or more:
        with suppress(UserError):  # no run there, or a broken one: found out later
            stored = read_config(os.path.join(config.output_path, "config.yaml"))
            ends = [*stored.training_params.restarts, stored.training_params.epochs]
            before = [*params.restarts, params.epochs]
            if ends[: len(before)] == before:
                params = _lasting(params, ends)
    if more:
        params = _lasting(
            params, [*params.restarts, params.epochs, params.epochs + more]
        )
    config = config.model_copy(update={"training_params": params})
    set_global_config(config)
    return config


def added_epochs(text: str) -> int:
    """The number behind --extend."""
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"{text} is no number of epochs")
    return int(text)


def _lasting(params, ends: list[int]):
    return params.model_copy(update={"restarts": ends[:-1], "epochs": ends[-1]})
