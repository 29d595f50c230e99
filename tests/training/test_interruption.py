"""A run that is asked to end stores a snapshot, says how to go on, and goes on exactly."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from tiny_run import ROOT, TIME_LIMIT, TinyRun, undisturbed_results, wait

from files.errors import UserError
from training import epoch_figures, loop


@pytest.fixture
def run(small_data):
    return TinyRun(small_data)


def signal_at(monkeypatch, number: int, owner: type, method: str, call: int) -> None:
    """Send this process a signal when a method is called for the n-th time."""
    original = getattr(owner, method)
    calls = 0

    def wrapper(self, *args):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), number)
        return original(self, *args)

    monkeypatch.setattr(owner, method, wrapper)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("iteration", [1, 5, 6])
def test_signal_in_an_iteration_finishes_it(
    run, monkeypatch, capsys, number, exit_code, iteration
):
    with monkeypatch.context() as patch:
        signal_at(patch, number, loop.Updater, "update_core", iteration)
        assert run.here() == exit_code
    newest = run.snapshots()[-1].name
    # The last iteration of an epoch ends in a validation: one goes back before it.
    stored = iteration - (iteration % 3 == 0)
    assert newest == f"snapshot_iteration_{stored:08d}.npz"
    assert f"train.py --config {run.config_path} --resume" in (capsys.readouterr().out)
    assert run.here("--resume") == 0
    assert run.results() == undisturbed_results()


@pytest.mark.parametrize("batch_size", [2, 5])
def test_signal_in_a_validation_breaks_it_off(small_data, monkeypatch, batch_size):
    """With batch size 5, an epoch is one iteration: the snapshot of the epoch before it counts."""
    run = TinyRun(small_data, training_params={"epochs": 3, "batch_size": batch_size})
    run.here()
    expected = run.results()
    shutil.rmtree(run.out)
    with monkeypatch.context() as patch:
        signal_at(patch, signal.SIGTERM, epoch_figures.Validation, "evaluate", 2)
        assert run.here() == 143
    iterations = -(-5 // batch_size)
    stored = max(2 * iterations - 1, 1)
    assert run.snapshots()[-1].name == f"snapshot_iteration_{stored:08d}.npz"
    assert run.here("--resume") == 0
    assert run.results() == expected


def test_validation_that_is_broken_off_does_not_make_a_removed_folder_again(
    run, monkeypatch
):
    evaluate = epoch_figures.Validation.evaluate

    def remove_folder_and_evaluate(self):
        shutil.rmtree(run.out)
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self)

    monkeypatch.setattr(
        epoch_figures.Validation, "evaluate", remove_folder_and_evaluate
    )
    with pytest.raises(UserError, match="was removed or replaced"):
        run.here()
    assert not run.out.exists()


def test_signal_before_anything_was_stored_leaves_nothing_to_resume(
    small_data, monkeypatch, capsys
):
    run = TinyRun(small_data, training_params={"epochs": 2, "batch_size": 5})
    with monkeypatch.context() as patch:
        signal_at(patch, signal.SIGTERM, loop.Updater, "update_core", 1)
        assert run.here() == 143
    assert run.snapshots() == []
    assert run.here("--resume") == 0
    assert "starting from the beginning" in capsys.readouterr().out


def test_handlers_are_put_back(run, monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    signal_at(monkeypatch, signal.SIGTERM, loop.Updater, "update_core", 1)
    run.here()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def block_in_an_iteration() -> None:
    """Let the first iteration never end."""

    def update_core(self):
        print("iterating")
        threading.Event().wait()

    loop.Updater.update_core = update_core


def wait_for(run: TinyRun, text: str) -> None:
    """Wait until a process has printed a text."""
    end = time.monotonic() + TIME_LIMIT
    while not (run.output_file.exists() and text in run.output):
        assert time.monotonic() < end, f"never printed: {text}"
        time.sleep(0.01)


def test_second_ctrl_c_ends_at_once(run):
    process = run.start(prepare=block_in_an_iteration)
    wait_for(run, "iterating")
    os.kill(process.pid, signal.SIGINT)
    wait_for(run, "ending after this iteration")
    assert process.exitcode is None
    os.kill(process.pid, signal.SIGINT)
    assert wait(process) == -signal.SIGINT


def test_the_command_itself_ends_with_143_and_leaves_no_process(run):
    """As a user starts it: a whole Python, in a process group of its own."""
    with run.output_file.open("w") as output:
        command = [sys.executable, str(ROOT / "train.py")]
        process = subprocess.Popen(
            [*command, *run.arguments("--set", "training_params.epochs=100000")],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wait_for(run, "   1/100000")
    start = time.monotonic()
    process.terminate()
    assert process.wait(TIME_LIMIT) == 143
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert "ended by SIGTERM in epoch" in run.output
