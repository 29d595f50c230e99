"""Tells whether two configurations give the same result, and in which keys they differ.

snapshots.py refuses to go on with a run under other settings, run_folder.py to write over the
results of others.
"""

import hashlib
import json

import numpy as np

from config import PATH_KEYS, Config
from dataset.label_table import LabelTable

# None of these changes a bit of the result (gpu, communicator: only as much as another machine).
FREE_KEYS = {"gpu", "communicator", "loader_jobs", "cache_size", "debug_mode"}
# These decide when the result is there and where it goes; the epochs, only while the learning
# rate does not depend on them.
_LENGTH_KEYS = {"training_params.epochs", "training_params.snapshot_epochs"}

Settings = dict[str, object]


def length_keys(settings: Settings) -> set[str]:
    """The settings that a run may go on with, having been started under others."""
    if settings.get("training_params.schedule", "constant") == "constant":
        return _LENGTH_KEYS
    return _LENGTH_KEYS - {"training_params.epochs"}


def flatten(values: dict, section: str = "") -> Settings:
    """{"training_params.epochs": 20, ...} of a configuration as nested dictionaries."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{section}{key}."))
        else:
            flat[f"{section}{key}"] = value
    return flat


def fingerprint(
    config: Config, train_names: list[str], val_names: list[str], table: LabelTable
) -> Settings:
    """What the weights after an epoch depend on.

    Paths may change, but not what the lists and the table hold: of these, the checksums count.
    What is in the images is not looked at.
    """
    settings = flatten(config.model_dump())
    ignored = FREE_KEYS | length_keys(settings) | set(PATH_KEYS) | {"n_class"}
    settings = {key: value for key, value in settings.items() if key not in ignored}
    classes = [table.colors.tolist(), sorted(map(int, table.ignored))]
    settings["the names in train_image_pointer"] = _checksum(train_names)
    settings["the names in val_image_pointer"] = _checksum(val_names)
    settings["the colours in label_path"] = _checksum(classes)
    return settings


def _checksum(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def differences(there: Settings, here: Settings) -> list[str]:
    """One phrase for each setting that differs: "seed (0 there, 1 here)"."""
    keys = [*here, *(key for key in there if key not in here)]
    return [
        f"{key} ({there.get(key, 'unset')} there, {here.get(key, 'unset')} here)"
        for key in keys
        if there.get(key) != here.get(key)
    ]


def to_array(settings: Settings) -> np.ndarray:
    """The settings as an array of text, to be stored in an .npz file."""
    return np.array(json.dumps(settings))


def from_array(array: np.ndarray) -> Settings:
    """The settings that to_array() made an array of."""
    return json.loads(str(array))
