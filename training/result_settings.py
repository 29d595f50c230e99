"""The settings that the result of a run depends on, and the keys in which two runs differ.

snapshots.py refuses to go on with a run under other settings, output_folder.py to replace the
results of others.
"""

import hashlib
import json
import os
from collections.abc import Collection

from config import Config, Mark, marked
from dataset.label_table import LabelTable
from files.digest import file_digest
from files.errors import printable
from files.yaml_reader import flatten

Settings = dict[str, object]
# A checksum of the file that init_weights names; None without it, or where it is gone.
_WEIGHTS = "the weights in init_weights"


def configured(config: Config) -> Settings:
    """The keys of a configuration that the result depends on, sections as "section.key"."""
    free = marked(Mark.FREE)
    return {k: v for k, v in flatten(config.model_dump()).items() if k not in free}


def result_settings(
    config: Config, train_lines: list[str], val_lines: list[str], table: LabelTable
) -> Settings:
    """configured(), and checksums of what the lists, the table of classes and init_weights hold.

    What is in the images is not looked at.
    """
    classes = [table.colors.tolist(), sorted(map(int, table.ignored))]
    return {
        **configured(config),
        "the names in train_image_pointer": _checksum(train_lines),
        "the names in val_image_pointer": _checksum(val_lines),
        "the colours in label_path": _checksum(classes),
        _WEIGHTS: _file_checksum(config.init_weights),
    }


def adopt_weights(there: Settings, here: Settings) -> None:
    """Let a run go on whose init_weights is gone: a resumed run does not read it again."""
    if here["init_weights"] and here[_WEIGHTS] is None:
        here[_WEIGHTS] = there.get(_WEIGHTS)


def _file_checksum(path: str | None) -> str | None:
    return file_digest(path)[:16] if path and os.path.isfile(path) else None


def _checksum(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


# When the learning rate starts to fall, and when it reaches 0.
_SCHEDULE = {"training_params.restarts", "training_params.epochs"}


def changeable(settings: Settings) -> set[str]:
    """The keys that may have another value when a run goes on.

    Paths, as long as the lists and the table hold the same; the length, unless the learning
    rate depends on the number of epochs.
    """
    keys = marked(Mark.PATH) | marked(Mark.LENGTH)
    if settings["training_params.schedule"] != "constant":
        keys -= _SCHEDULE
    return keys


def changeable_after(epoch: int, there: Settings, here: Settings) -> set[str]:
    """changeable(), given that a run has come to some epoch.

    Until then, two runs had the same learning rates if their schedules restart or end at the same
    epochs: those before that epoch, and the first one after it or at it.
    """
    is_same = _ends(there, epoch) == _ends(here, epoch)
    return changeable(here) | (_SCHEDULE if is_same else set())


def _ends(settings: Settings, epoch: int) -> list[int]:
    """The epochs at which the schedule restarts or ends: those before an epoch, and the first one after it or at it."""
    restarts = settings.get("training_params.restarts", [])
    ends = [*restarts, settings["training_params.epochs"]]
    return [end for start, end in zip([0, *ends], ends) if start < epoch or not start]


def differences(
    there: Settings, here: Settings, ignored: Collection[str] = ()
) -> list[str]:
    """One phrase for each setting that differs: "seed (0 there, 1 here)"."""
    keys = dict.fromkeys([*here, *there])
    return [
        printable(
            f"{key} ({there.get(key, 'unset')} there, {here.get(key, 'unset')} here)"
        )
        for key in keys
        if key not in ignored and there.get(key) != here.get(key)
    ]
