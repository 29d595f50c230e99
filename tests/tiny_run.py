"""Runs of train.py that last a second, in this process or in one that can be killed."""

import functools
import itertools
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from conftest import SmallData

import predict
import train
from files.errors import run_program

ROOT = Path(train.__file__).parent
TIME_LIMIT = 120  # seconds after which a process counts as hanging

try:
    import resource
except ImportError:  # Windows
    resource = None

# A server that has imported train.py and forks: 0.1 s a process instead of 3 s.
_FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
_processes = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
_processes.set_forkserver_preload(["train", "tiny_run"])


class TinyRun:
    """Train on a SmallData set: 4 epochs of 3 iterations."""

    def __init__(self, small_data, **changes):
        self.data = small_data
        settings = {
            "loader_jobs": 2,
            "training_params": {"epochs": 4},
            "augmentation_params": {"do_augment": True},
            **changes,
        }
        self.config_path = small_data.write_config(**settings)
        self.out = small_data.folder / "result"
        self.output_file = small_data.folder / "output.txt"

    def arguments(self, *options: str) -> list[str]:
        return ["--config", str(self.config_path), *options]

    def here(self, *options: str) -> int:
        """Run in this process; returns the exit code, raises the error."""
        # Drawing takes half of the time; runs in other processes do.
        with (
            mock.patch("training.progress.draw_curves"),
            mock.patch("evaluation.panels.draw_rows"),
        ):
            return train.main(self.arguments(*options))

    def start(self, *options: str, prepare: Callable[[], None] | None = None):
        """Start in another process, which calls prepare() first."""
        arguments = self.arguments(*options), str(self.output_file), prepare
        process = _processes.Process(target=_train, args=arguments)
        process.start()
        return process

    def finish(self, *options: str, prepare: Callable[[], None] | None = None) -> int:
        """Run in another process; returns its exit code (minus the signal that killed it)."""
        return wait(self.start(*options, prepare=prepare))

    @property
    def output(self) -> str:
        """What the last process printed."""
        return self.output_file.read_text()

    def results(self) -> tuple[list[dict], dict[str, bytes]]:
        """The log without times, and the bytes of all stored models."""
        log = json.loads((self.out / "log").read_text())
        for entry in log:
            del entry["elapsed_time"]
        models = (self.out / "model").iterdir()
        return log, {path.name: path.read_bytes() for path in sorted(models)}

    def snapshots(self) -> list[Path]:
        """The snapshots, oldest first."""
        return sorted(self.out.glob("snapshot_iteration_????????.npz"))

    def leftovers(self) -> list[Path]:
        """Temporary files in the folder of the run."""
        return [path for path in self.out.rglob("*") if ".tmp" in path.name]


def in_this_process(program: str, arguments: list[str], is_shown=None) -> int:
    """Run train.py or predict.py without the seconds that a process of its own takes to start."""
    programs = {"train.py": train.main, "predict.py": predict.main}
    with mock.patch("training.progress.draw_curves"):
        return programs[program](arguments)


def in_forked_process(program: str, arguments: list[str], output: Path) -> int:
    """The same in another process, for callers that are not in the main thread."""
    words = program, arguments, str(output)
    process = _processes.Process(target=_run_program, args=words)
    process.start()
    return wait(process)


@functools.cache
def undisturbed_results() -> tuple[list[dict], dict[str, bytes]]:
    """The results of a run of the small_data fixture that nothing happens to."""
    with tempfile.TemporaryDirectory() as folder:
        data = SmallData(Path(folder) / "set", train=5, val=2, test=2, size=(32, 48))
        run = TinyRun(data)
        assert run.here() == 0
        return run.results()


def wait(process, seconds: float = TIME_LIMIT) -> int:
    """Exit code of a process."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"the process ran for more than {seconds} s")
    return process.exitcode


def _train(arguments: list[str], output: str, prepare: Callable | None) -> None:
    _redirect(output)
    if prepare is not None:
        prepare()
    run_program(lambda: train.main(arguments))


def _run_program(program: str, arguments: list[str], output: str) -> None:
    _redirect(output)
    run_program(lambda: in_this_process(program, arguments))


def _redirect(output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout.reconfigure(line_buffering=True)


def peak_memory(function: Callable, *arguments) -> tuple[str, int]:
    """What a function returns in a process of its own, and MiB that it took at its peak."""
    ours, theirs = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_measure, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    answer = ours.recv() if ours.poll(TIME_LIMIT) else ("no answer", 0)
    wait(process)
    return answer


def _measure(pipe, function: Callable, arguments: tuple) -> None:
    before = _max_memory()
    outcome = function(*arguments)
    pipe.send((outcome, _max_memory() - before))


def _max_memory() -> int:
    """MiB; the kernel counts KiB on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


def die_at_write(number: int) -> None:
    """Kill this process before the n-th of the steps that bring something to the disk."""
    steps = itertools.count(1)

    def deadly(step: Callable) -> Callable:
        def wrapper(*args, **kwargs):
            if next(steps) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **kwargs)

        return wrapper

    for name in ("fsync", "replace", "remove"):
        setattr(os, name, deadly(getattr(os, name)))
    zipfile.ZipFile.open = deadly(zipfile.ZipFile.open)  # each array of a file


def limit_file_size(size: int) -> None:
    """Let writes beyond a size fail, as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
