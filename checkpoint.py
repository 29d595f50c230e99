"""Writes files whole or not at all, and reads weights and snapshots without running their code."""

import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import chainer_compat

import chainer
import numpy as np

from errors import UserError

# save_npz() stores here which values were None: as arrays they would need pickle, which can
# run code when it is read.
_NONE_KEYS = "_none_keys"
_TEMPORARY = ".tmp"
_SNAPSHOTS_KEPT = 2  # the newest, and one to fall back on
# What zipfile, zlib and NumPy raise on a file that was cut or changed.
_BROKEN_FILE = (
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary path beside a file, that becomes the file when the block ends well.

    A reader sees the old file or the new one, never a part; after a power cut, too.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    # The process id keeps two writers apart, the ending lets writers that look at it go on.
    root, ending = os.path.splitext(path)
    temporary = f"{root}{_TEMPORARY}{os.getpid()}{ending}"
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)


def write_text(path: str, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


def save_npz(path: str, target) -> None:
    """Store what Chainer can serialize (a model, a trainer) as .npz, whole or not at all."""
    values = chainer.serializers.npz.serialize(target)
    none_keys = [key for key, value in values.items() if value.dtype == object]
    values = {key: value for key, value in values.items() if key not in none_keys}
    if none_keys:
        values[_NONE_KEYS] = np.array(none_keys)
    with whole_file(path) as temporary:
        np.savez(temporary, **values)


def read_npz(path: str, what: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, checked against the checksums stored in it.

    Args:
        path: the file.
        what: the option or key that named it, for messages.

    Raises:
        UserError: no such file, it is broken, or it holds objects (which could run code).
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {key: archive[key] for key in archive.files}
    except OSError as error:
        raise UserError(
            f"{what}: cannot read {path}: {error.strerror or error}"
        ) from None
    except _BROKEN_FILE as error:
        raise UserError(f"{what}: {path} is no usable .npz file: {error}") from None
    except AttributeError:  # a bare .npy: np.load gives an array
        raise UserError(f"{what}: {path} is a single array, no .npz file") from None
    for key in values.pop(_NONE_KEYS, ()):
        values[str(key)] = np.array(None, dtype=object)
    return values


def load_model(path: str, model: chainer.Link, what: str = "--model") -> None:
    """Read weights into a model, as this project or the book script stored them.

    Raises:
        UserError: as read_npz(), or the weights are of another network: names the first
            parameter that differs and both shapes.
    """
    values = read_npz(path, what)
    wanted = {name.lstrip("/"): param.shape for name, param in model.namedparams()}
    _compare_shapes(
        path, what, wanted, {name: value.shape for name, value in values.items()}
    )
    chainer.serializers.NpzDeserializer(values).load(model)


def _shapes(model: chainer.Link) -> dict[str, tuple[int, ...]]:
    return {name.lstrip("/"): param.shape for name, param in model.namedparams()}


def _compare_shapes(path: str, what: str, wanted: dict, stored: dict) -> None:
    for name, shape in wanted.items():
        if name not in stored:
            raise UserError(
                f"{what}: {path} is of another network: it has no parameter {name} {shape}"
            )
        if stored[name] != shape:
            raise UserError(
                f"{what}: {path} is of another network: parameter {name} is {stored[name]} "
                f"there and {shape} here; compare n_class, in_ch and dilated"
            )
    extra = sorted(stored.keys() - wanted.keys())
    if extra:
        raise UserError(
            f"{what}: {path} is of another network: this one has no parameter {extra[0]}"
        )


def save_snapshot(trainer: chainer.training.Trainer) -> None:
    """Store all that is needed to go on exactly, and keep the one before it.

    Writes ``snapshot_epoch_{epoch}.npz`` into the trainer's folder.
    """
    save_npz(_snapshot_path(trainer.out, trainer.updater.epoch), trainer)
    for path in snapshots(trainer.out)[_SNAPSHOTS_KEPT:]:
        os.remove(path)


def _snapshot_path(folder: str, epoch: int) -> str:
    return os.path.join(folder, f"snapshot_epoch_{epoch:05d}.npz")


def snapshots(folder: str) -> list[str]:
    """Paths of the snapshots in a folder, newest first."""
    pattern = re.compile(r"snapshot_epoch_(\d+)\.npz")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    epochs = [int(match[1]) for match in map(pattern.fullmatch, names) if match]
    return [_snapshot_path(folder, epoch) for epoch in sorted(epochs, reverse=True)]


def restore(path: str, trainer: chainer.training.Trainer) -> None:
    """Bring a trainer to the state of a snapshot.

    Raises:
        UserError: as read_npz(), or the snapshot is of another network.
    """
    values = read_npz(path, "--resume")
    model = trainer.updater.get_optimizer("main").target
    prefix = "updater/model:main/"
    stored = {
        k.removeprefix(prefix): v.shape
        for k, v in values.items()
        if k.startswith(prefix)
    }
    _compare_shapes(path, "--resume", _shapes(model), stored)
    try:
        chainer.serializers.NpzDeserializer(values).load(trainer)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--resume: {path} is no snapshot of this training: {error}"
        ) from None
