"""Decides who may write into output_path: one run at a time, and no run over another's results."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import yaml

from config import PATH_KEYS, Config, dump_config
from files.errors import UserError
from files.whole_file import TEMPORARY, sync_folder, write_text
from files.yaml_reader import read_yaml
from training.fingerprint import FREE_KEYS, differences, flatten, length_keys

try:
    import fcntl
except ImportError:  # Windows: there, nobody keeps two runs apart
    fcntl = None

_LOCK = ".lock"
_CONFIG = "config.yaml"
_SNAPSHOT = re.compile(r"(snapshot|earlier)_iteration_(\d+)\.npz")
# What training takes hours to make; and with it, all that the next run replaces.
_RESULT = re.compile(rf"{_SNAPSHOT.pattern}|log|fcn_\w+\.npz")
_REPLACED = re.compile(
    rf"{_RESULT.pattern}|curves\.png|report\.html|class_weights\.csv|epoch_\d+\.png"
)
# What predict.py found out about the weights that are replaced.
_SCORES = re.compile(r"scores\.json|(confusion|best|worst|.+_color)\.png")
_LEFTOVER = re.compile(rf".*{re.escape(TEMPORARY)}(\d+)(\.\w+)?")
_SUBFOLDERS = ("", "model", "progress", "predict")


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Keep a folder for this process while the block runs, and clear away a dead writer's files.

    The kernel holds the lock and drops it when the process ends, however it ends; the process
    id in the file is for the message only.

    Raises:
        UserError: another process has the folder, or it cannot be written.
    """
    path = os.path.join(folder, _LOCK)
    try:
        os.makedirs(folder, exist_ok=True)
        lock = open(path, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"output_path: cannot write {path}: {error.strerror}") from None
    with lock:
        _take(lock, folder)
        remove_leftovers(folder)
        yield


def _take(lock, folder: str) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            raise UserError(
                f"output_path: {folder} is in use by another run (process {holder}); wait for "
                "it to end, or choose another output_path"
            ) from None
        except OSError as error:  # some network file systems know no locks
            print(
                f"note: {folder} cannot be locked ({error.strerror}); start one run only"
            )
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def remove_leftovers(folder: str) -> None:
    """Remove the temporary files of writers that were killed, in all folders of a run."""
    for where, _, names in os.walk(folder):
        for match in filter(None, map(_LEFTOVER.fullmatch, names)):
            if not _is_alive(int(match[1])):
                with suppress(OSError):
                    os.remove(os.path.join(where, match[0]))


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():  # of an earlier process that had our number: we just started
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _files(folder: str, pattern: re.Pattern) -> list[tuple[str, re.Match]]:
    """Paths in the folders of a run whose names match."""
    found = []
    for subfolder in _SUBFOLDERS:
        where = os.path.join(folder, subfolder)
        names = sorted(os.listdir(where)) if os.path.isdir(where) else []
        matches = ((name, pattern.fullmatch(name)) for name in names)
        found += [
            (os.path.join(where, name), match) for name, match in matches if match
        ]
    return found


def refuse_other_results(folder: str, config: Config) -> None:
    """Stop before a run writes over what another configuration produced.

    Raises:
        UserError: names the keys that differ, and says what to do.
    """
    if not _files(folder, _RESULT):
        return
    there, here = _stored_settings(folder), _settings(config, folder)
    differing = differences(there, here) if there else ["unknown"]
    if not differing:
        return
    goes_on = {key for key in here if there.get(key) != here[key]} <= length_keys(here)
    raise UserError(
        f"output_path: {folder} holds the results of another configuration: "
        f"{', '.join(differing)}; choose another output_path, "
        + ("go on with that run by --resume, " if goes_on else "")
        + "or replace its results by --overwrite"
    )


def start_afresh(folder: str, overwrite: bool) -> str | None:
    """Remove the results of earlier runs, so that none of them is taken for one of this run.

    Without --overwrite, the most advanced snapshot is set aside until discard_earlier(): who
    types the command again after a crash, and forgets --resume, loses nothing.

    Returns:
        str: path of the snapshot that was set aside, if there was one.
    """
    snapshots = sorted(_files(folder, _SNAPSHOT), key=lambda item: int(item[1][2]))
    kept = None
    if snapshots and not overwrite:
        newest, match = snapshots[-1]
        kept = os.path.join(folder, f"earlier_iteration_{match[2]}.npz")
        os.replace(newest, kept)
    scores = _files(os.path.join(folder, "predict"), _SCORES)
    for path, _ in _files(folder, _REPLACED) + scores:
        if path != kept:
            os.remove(path)
    sync_folder(folder)
    return kept


def discard_earlier(folder: str) -> None:
    """Remove the snapshot that start_afresh() set aside, now that its results are made again."""
    for path, match in _files(folder, _SNAPSHOT):
        if match[1] == "earlier":
            os.remove(path)


def store_config(folder: str, config: Config) -> None:
    """Write the configuration as used into the folder of its results."""
    write_text(os.path.join(folder, _CONFIG), dump_config(config, folder))


def _settings(config: Config, folder: str) -> dict:
    return _comparable(yaml.safe_load(dump_config(config, folder)), folder)


def _stored_settings(folder: str) -> dict:
    try:
        return _comparable(read_yaml(os.path.join(folder, _CONFIG))[0], folder)
    except UserError:
        return {}


def _comparable(values: dict, folder: str) -> dict:
    """The settings that make another result, or another amount of it."""
    left_out = FREE_KEYS | {"output_path", "test_image_pointer"}
    settings = {k: v for k, v in flatten(values).items() if k not in left_out}
    for key in PATH_KEYS:
        if isinstance(settings.get(key), str):
            settings[key] = os.path.normpath(os.path.join(folder, settings[key]))
    return settings
