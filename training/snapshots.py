"""Stores the state of a run so that it can go on exactly, and brings it back."""

import json
import os
import re
import sys

import chainer
import numpy as np
from chainer.training import extension

from files.errors import BrokenFileError, UserError
from files.npz_reader import read_npz
from files.weights import compare_shapes, model_bytes, write_npz
from files.whole_file import is_in_use
from training.interruption import Interrupted
from training.result_settings import (
    Settings,
    adopt_weights,
    changeable_after,
    differences,
)

_KEPT = 2  # the newest, and one to fall back on
SNAPSHOT = r"snapshot_iteration_(\d+)\.npz"
# Names of the values that are None. As arrays of their own they would need pickle, which can run
# code when it is read.
_NONE_KEYS = "_none_keys"
# The settings of the run, as JSON; snapshots have always had them under this name.
_SETTINGS = "_fingerprint"
# How often the weights are in a snapshot: themselves, their average, two moments in Adam, the best;
# and bytes for all else, above all the log: 300 an epoch.
_MODELS, _MAX_REST = 5, 1 << 28
# What Chainer, NumPy and Python's int() raise on values that are missing, or of another type or shape.
_UNFIT = TypeError, ValueError, AttributeError, ArithmeticError, LookupError


Values = dict[str, np.ndarray]


class Snapshots(extension.Extension):
    """Stores a snapshot after each epoch, and when the run is asked to end.

    Must be the last extension of an iteration: a snapshot holds the states of all others.

    All processes must have this extension, as each has a part of an epoch's figures. The first
    one writes.

    Args:
        session (Session): the run: what its result depends on, its processes, and whether it was
            asked to end. A run under other settings will not go on from its snapshots.
        iterations (int): of an epoch.
    """

    trigger = (1, "iteration")
    priority = -1000

    def __init__(self, session, iterations: int):
        self._settings = session.settings
        self._stop = session.stop
        self._processes = session.processes
        self._iterations = iterations
        self._before_last = None

    def __call__(self, trainer) -> None:
        is_new_epoch = trainer.updater.is_new_epoch
        self._before_last = None
        # All end after the same iteration, whichever process was asked to.
        signal = self._processes.largest(self._stop.received or 0)
        if signal:  # else keep what may have been received since: it counts next time
            self._stop.received = signal
        if is_new_epoch or signal:
            self._write(trainer.out, self._state(trainer))
        elif (
            self._processes.size == 1
            and (trainer.updater.iteration + 1) % self._iterations == 0
        ):
            # Keep the state from just before the epoch's last iteration, so that an interrupted
            # validation loses nothing. It is 12 MB, copied in 5 ms.
            state = self._state(trainer)
            self._before_last = {k: np.array(v) for k, v in state.items()}
        if signal:
            raise Interrupted

    def stop_if_asked(self, trainer) -> None:
        """Within a validation: end the run if it is asked to.

        Raises:
            Interrupted: the state before the iteration is stored; going on repeats it.
            UserError: the output folder was removed or replaced.
        """
        if not self._stop.received or self._processes.size > 1:
            return  # of several processes, the others are at other batches, or done
        if self._before_last is not None:
            # A validation takes long: another run may have the folder by now.
            trainer.get_extension("refuse_lost_folder")(trainer)
            self._write(trainer.out, self._before_last)
        raise Interrupted

    def _state(self, trainer) -> dict[str, np.ndarray]:
        values = chainer.serializers.npz.serialize(trainer)
        none_keys = [key for key, value in values.items() if value.dtype == object]
        values = {key: value for key, value in values.items() if key not in none_keys}
        values[_NONE_KEYS] = np.array(none_keys, dtype=str)
        values[_SETTINGS] = np.array(json.dumps(self._settings))
        return values

    def _write(self, folder: str, state: dict[str, np.ndarray]) -> None:
        if self._processes.rank:
            return
        iteration = int(state["updater/iteration"])
        write_npz(_path(folder, iteration), state)
        # A snapshot of a later iteration was broken, or the run went on from an earlier one.
        older = [path for path in snapshots(folder) if iteration_of(path) <= iteration]
        for path in set(snapshots(folder)) - set(older[:_KEPT]):
            try:
                os.remove(path)
            except PermissionError as error:
                if not is_in_use(error):
                    raise
                # Another program has it open, on Windows: the next snapshot removes it.


def _path(folder: str, iteration: int) -> str:
    return os.path.join(folder, f"snapshot_iteration_{iteration:08d}.npz")


def iteration_of(path: str) -> int:
    """The iteration of a snapshot, by its name."""
    return int(re.fullmatch(SNAPSHOT, os.path.basename(path))[1])


def snapshots(folder: str) -> list[str]:
    """Paths of the snapshots in a folder, newest first."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, n) for n in names if re.fullmatch(SNAPSHOT, n)]
    return sorted(filter(os.path.isfile, paths), key=iteration_of, reverse=True)


def restore_newest(
    folder: str, trainer: chainer.training.Trainer, settings: Settings
) -> str | None:
    """Bring a trainer to the state of the newest snapshot that is whole.

    A broken one is reported, and the one before it is used.

    Returns:
        str: the snapshot's path; None if there is none.

    Raises:
        UserError: all are broken; and as restore().
    """
    paths = snapshots(folder)
    for path in paths:
        try:
            restore(path, trainer, settings)
            return path
        except BrokenFileError as error:
            print(f"warning: {error}; trying the one before it", file=sys.stderr)
    if paths:
        raise UserError(
            f"--resume: no snapshot in {folder} is usable; without --resume, training starts "
            "from the beginning"
        )
    return None


def restore(path: str, trainer: chainer.training.Trainer, settings: Settings) -> None:
    """Bring a trainer to the state of a snapshot.

    Raises:
        BrokenFileError: as read_npz().
        UserError: the snapshot is of a run under other settings, or of another network.
    """
    model = trainer.updater.get_optimizer("main").target
    max_bytes = _MODELS * model_bytes(model) + _MAX_REST
    values = read_npz(path, "--resume", max_bytes, must_have_checksum=True)
    try:
        there = json.loads(str(values[_SETTINGS]))
        epoch = trainer.updater.epochs_of(int(values["updater/iteration"]))
        changeable = changeable_after(epoch, there, settings)
        adopt_weights(there, settings)
        differing = differences(there, settings, changeable)
        none_keys = [str(key) for key in values[_NONE_KEYS]]
    except _UNFIT:
        raise UserError(f"--resume: {path} is no snapshot of a run") from None
    prefix = "updater/model:main/"
    stored = {
        key.removeprefix(prefix): (value.shape, value.dtype)
        for key, value in values.items()
        if key.startswith(prefix)
    }
    try:
        compare_shapes(path, "--resume", model, stored)
    except UserError as error:
        raise UserError("; ".join([str(error), *differing])) from None
    if differing:
        raise UserError(
            f"--resume: {path} is of a run with other settings: {', '.join(differing)}; put "
            "them back, or start again without --resume"
        )
    _refuse_unfit(path, model, values)
    for key in none_keys:
        values[key] = np.array(None, dtype=object)
    try:
        chainer.serializers.NpzDeserializer(values).load(trainer)
        if any(param.update_rule.t < 0 for param in model.params()):
            raise ValueError("a parameter has been updated less than 0 times")
    except UserError as error:
        raise UserError(f"--resume: {path} cannot be used: {error}") from None
    except _UNFIT as error:
        raise UserError(
            f"--resume: {path} was stored by another version of this program: {error}"
        ) from None


def _refuse_unfit(path: str, model: chainer.Link, values: Values) -> None:
    """Make sure that weights, Adam's moments and the best weights can be used.

    Chainer takes moments of any shape, and fails in the iteration after.

    Raises:
        UserError: one is of another shape than its parameter, NaN or infinite.
    """
    places = [f"updater/optimizer:main{{}}/{part}" for part in ("m", "v", "master")]
    places += ["updater/model:main{}", "updater/average{}"]
    places += ["extensions/best_model/weights{}"]
    for name, param in sorted(model.namedparams()):
        for key in (place.format(name) for place in places):
            value = values.get(key)
            if value is None:  # before the first update, or not in mixed16
                continue
            if value.shape != param.shape or value.dtype.kind != "f":
                fault = f"is {value.dtype} {value.shape}, not float {param.shape}"
            elif not np.isfinite(value).all():
                fault = "is not finite"
            else:
                continue
            raise UserError(
                f"--resume: {path}: {key.split('/', 1)[1]} {fault}; go on from an earlier "
                "snapshot, or start again without --resume"
            )
