"""The files of a run in output_path: which belong to it, and when they may be replaced.

train.py takes a folder over with it, or goes on with the run there; predict.py clears away what
killed writers have left.
"""

import os
import re
from contextlib import suppress

import psutil

from config import Config, dump_config, read_config
from files.errors import UserError, printable
from files.whole_file import TEMPORARY, replace, sync_folder, write_text
from training.folder_lock import locked
from training.result_settings import changeable_after, configured, differences
from training.snapshots import SNAPSHOT, iteration_of, snapshots

_CONFIG = "config.yaml"
# Results that were replaced, until the new ones are as good.
_EARLIER = "earlier"
# Subfolder -> what training takes hours to make.
_TRAINED = {"": rf"{SNAPSHOT}|log", "model": r"fcn_\w+\.npz"}
# What is replaced together with it; predict/ is what predict.py found out about the weights.
_RESULTS = {
    "": rf"{_TRAINED['']}|curves\.png|report\.html|run\.json|class_weights\.csv",
    "model": _TRAINED["model"],
    "progress": r"epoch_\d+\.png",
    "predict": r"scores\.json|(confusion|best|worst|.+_color)\.png",
}
# All that the programs write, except for photos and videos, whose results lie deeper.
_FILES = {**_RESULTS, "": rf"{_RESULTS['']}|config\.yaml|data_check\.png"}
_INPUTS = os.path.join("predict", "inputs")
_INPUT_RESULT = re.compile(r".+_(color|overlay|classes|confidence)\.(png|webm|mp4|mkv)")
_LEFTOVER = re.compile(rf"(.+){re.escape(TEMPORARY)}(\d+)(\.\w+)?")


def take_over(
    folder: str, config: Config, resumed: str | None, overwrite: bool
) -> str | None:
    """Prepare a folder for the files of a run.

    A new run moves the results of an earlier one aside, if that has left a snapshot: nothing is
    lost when somebody types the command again after a crash, and forgets --resume.
    discard_earlier() removes them.

    Args:
        resumed: the snapshot that the run goes on from; None if it starts at the beginning.
        overwrite: whether the results of any configuration may be removed.

    Returns:
        str: the snapshot to resume if the earlier run is to go on, after all; None if there is
        nothing that could be continued.

    Raises:
        UserError: the folder holds the results of another configuration. Nothing was changed.
    """
    if not overwrite:
        _refuse_other_results(folder, config, resumed)
    remove_leftovers(folder)
    earlier = os.path.join(folder, _EARLIER)
    if resumed is None:
        _start_afresh(folder, earlier, overwrite)
    elif _lies_in(resumed, earlier) or not snapshots(earlier):
        # Without a snapshot: moving the results aside was broken off.
        _move_results(earlier, folder)
    sync_folder(folder)
    write_text(os.path.join(folder, _CONFIG), dump_config(config, folder))
    return next(iter(snapshots(earlier)), None) if resumed is None else None


def _refuse_other_results(folder: str, config: Config, resumed: str | None) -> None:
    earlier = os.path.join(folder, _EARLIER)
    if not _files(folder, _TRAINED) and not _files(earlier, _TRAINED):
        return
    is_own = resumed and (_lies_in(resumed, folder) or _lies_in(resumed, earlier))
    here = configured(config)
    try:
        there = configured(read_config(os.path.join(folder, _CONFIG)))
    except UserError as error:
        if is_own:
            return  # the snapshot itself has been compared
        there, differing = None, [f"unknown ({error})"]
    else:
        # To the end of the schedule that both have; extended() makes it the longer one.
        may_differ = changeable_after(1, there, here)
        differing = differences(there, here, may_differ if is_own else ())
    if not differing:
        return
    can_go_on = there and snapshots(folder) and resumed is None
    goes_on = can_go_on and not differences(there, here, may_differ)
    raise UserError(
        f"output_path: {printable(folder)} holds the results of another configuration: "
        f"{', '.join(differing)}; choose another output_path, "
        + ("go on with that run by --resume, " if goes_on else "")
        + "or replace its results by --overwrite"
    )


def _start_afresh(folder: str, earlier: str, overwrite: bool) -> None:
    """Leave no result in the folder; move aside what went further than what is there already."""
    if overwrite:
        _remove_results(earlier)
    elif _iteration(folder) > _iteration(earlier):
        if snapshots(earlier):
            _remove_results(earlier)
        for older in snapshots(folder)[1:]:
            os.remove(older)
        _move_results(folder, earlier)
    _remove_results(folder)


def discard_earlier(folder: str) -> None:
    """Remove the results that take_over() moved aside, now that they are made again."""
    earlier = os.path.join(folder, _EARLIER)
    try:
        _remove_results(earlier)
    except PermissionError as error:  # on Windows, another program has one open
        print(
            f"note: {printable(error.filename)} cannot be removed ({error.strerror}); it is not "
            f"needed any more, nor is anything else in {printable(earlier)}"
        )


def clear(folder: str) -> None:
    """Remove the results of a run, and of an earlier one; cross_validate.py --overwrite calls it."""
    if os.path.isdir(folder):
        with locked(folder):
            _start_afresh(folder, os.path.join(folder, _EARLIER), overwrite=True)


def _move_results(source: str, target: str) -> None:
    """Move results between folders, the snapshot last: where it is, all the others are."""
    last = snapshots(source)
    others = [path for path in _files(source, _RESULTS) if path not in last]
    for path in [*others, *last]:
        moved = os.path.join(target, os.path.relpath(path, source))
        os.makedirs(os.path.dirname(moved), exist_ok=True)
        replace(path, moved)
        sync_folder(os.path.dirname(moved))
    _remove_empty_folders(source)


def _remove_results(folder: str) -> None:
    for path in _files(folder, _RESULTS):
        os.remove(path)
    _remove_empty_folders(folder)


def _remove_empty_folders(folder: str) -> None:
    if os.path.basename(folder) == _EARLIER:
        for subfolder in sorted(_RESULTS, reverse=True):
            with suppress(OSError):
                os.rmdir(os.path.join(folder, subfolder))


def _files(folder: str, patterns: dict[str, str]) -> list[str]:
    """Paths of the files in the subfolders of a run whose names match."""
    return [
        os.path.join(where, name)
        for where, pattern in (
            (os.path.join(folder, s), p) for s, p in patterns.items()
        )
        for name in (sorted(os.listdir(where)) if os.path.isdir(where) else [])
        if re.fullmatch(pattern, name) and os.path.isfile(os.path.join(where, name))
    ]


def _iteration(folder: str) -> int:
    """Iteration of the newest snapshot of a run; -1 if there is none."""
    return max(map(iteration_of, snapshots(folder)), default=-1)


def _lies_in(path: str, folder: str) -> bool:
    # Not by the names: Windows and macOS do not tell Result from result.
    parent = os.path.dirname(path) or "."
    both_exist = os.path.isdir(parent) and os.path.isdir(folder)
    return both_exist and os.path.samefile(parent, folder)


def remove_leftovers(folder: str) -> None:
    """Remove the temporary files that killed writers left in output_path, and nothing else."""
    places = [(os.path.join(folder, s), re.compile(p)) for s, p in _FILES.items()]
    inputs = os.walk(os.path.join(folder, _INPUTS))
    places += [(where, _INPUT_RESULT) for where, _, _ in inputs]
    for where, pattern in places:
        for name in os.listdir(where) if os.path.isdir(where) else []:
            match = _LEFTOVER.fullmatch(name)
            if not match or not pattern.fullmatch(match[1] + (match[3] or "")):
                continue
            if not _is_alive(int(match[2])):
                with suppress(OSError):
                    os.remove(os.path.join(where, name))


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():  # of an earlier process that had our number: we just started
        return False
    with suppress(OverflowError):  # more digits than any process id
        # Not os.kill(pid, 0), which on Windows sends Ctrl-C.
        return psutil.pid_exists(pid)
    return False
