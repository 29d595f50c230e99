"""Snapshots with a right checksum and wrong values, and requests to end that come while waiting."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_run import TinyRun, undisturbed_results

from files.errors import UserError
from files.npz_reader import read_npz
from files.weights import write_npz
from training.interruption import Interrupted, StopSignals
from training.snapshots import Snapshots

# Not in the middle of an epoch: the sums of an epoch's figures are stored, too.
FORGED = {
    "updater/iteration": np.array("two"),
    "updater/model:main/conv1/W": np.full((96, 3, 7, 7), np.nan, np.float32),
    "updater/optimizer:main/conv1/W/m": np.zeros((2, 2), np.float32),
    "updater/optimizer:main/conv1/W/v": np.full((96, 3, 7, 7), np.inf, np.float32),
    "updater/optimizer:main/conv1/W/t": np.array(-5),
    "updater/optimizer:main/t": np.array(np.inf),
    "extensions/best_model/miou": np.array("best"),
    "extensions/LogReport/_summary/_names": np.array("{"),
    "_fingerprint": np.array([1, 2]),
    "_none_keys": np.array(3),
}


@pytest.fixture
def run(small_data):
    run = TinyRun(small_data)
    run.here("--set", "training_params.epochs=1")
    return run


def test_forged_values_are_a_sentence(run):
    """One run for all of them: each is put back before the next."""
    path = str(run.snapshots()[-1])
    values = read_npz(path, "--resume", 1 << 30, must_have_checksum=True)
    for key, value in FORGED.items():
        assert key in values, key
        write_npz(path, {**values, key: value})
        with pytest.raises(UserError, match="--resume"):
            run.here("--resume")


def test_weights_that_are_not_finite_are_named(run):
    path = str(run.snapshots()[-1])
    values = read_npz(path, "--resume", 1 << 30, must_have_checksum=True)
    values["updater/model:main/conv1/b"][3] = np.nan
    write_npz(path, values)
    with pytest.raises(UserError, match="model:main/conv1/b is not finite; go on from"):
        run.here("--resume")


def test_folder_named_like_a_snapshot_does_not_end_a_resume(run):
    (run.out / "snapshot_iteration_99999999.npz").mkdir()
    run.here("--resume")
    assert run.results() == undisturbed_results()


def test_request_to_end_that_comes_while_processes_wait_counts_next_time(tmp_path):
    """largest() waits for the other processes, none of which was asked to end."""
    stop = StopSignals()

    def largest(number: int) -> int:
        if stop.received is None:
            with stop:
                os.kill(os.getpid(), signal.SIGTERM)
        return number

    processes = SimpleNamespace(largest=largest, size=2, rank=1)
    session = SimpleNamespace(settings={}, stop=stop, processes=processes)
    snapshots = Snapshots(session, iterations=9)
    updater = SimpleNamespace(is_new_epoch=False, iteration=1)
    trainer = SimpleNamespace(
        updater=updater, out=str(tmp_path), serialize=lambda serializer: None
    )
    snapshots(trainer)
    assert stop.received == signal.SIGTERM
    with pytest.raises(Interrupted):
        snapshots(trainer)
