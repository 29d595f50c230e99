"""The log of a long run in its snapshots, and figures of an epoch that are drawn late."""

import json
import math
from unittest import mock

import numpy as np
import pytest
from tiny_run import TinyRun

import train
from files.errors import UserError
from files.npz_reader import read_npz
from files.weights import write_npz

ENTRIES = "extensions/LogReport/entries"
EPOCHS = 3000


@pytest.fixture
def run(small_data):
    run = TinyRun(small_data)
    run.here("--set", "training_params.epochs=1")
    return run


def change_snapshot(run: TinyRun, key: str, value: np.ndarray) -> None:
    """Store the newest snapshot again, with a right checksum and another value."""
    path = str(run.snapshots()[-1])
    values = read_npz(path, "--resume", 1 << 30, must_have_checksum=True)
    assert key in values
    write_npz(path, {**values, key: value})


def as_array(log: list) -> np.ndarray:
    return np.frombuffer(json.dumps(log).encode(), np.uint8)


def test_run_of_3000_epochs_is_resumed_with_its_log(run):
    (entry,) = json.loads((run.out / "log").read_text())
    rng = np.random.default_rng(0)
    log = [
        {k: rng.random() if isinstance(v, float) else v for k, v in entry.items()}
        for _ in range(EPOCHS)
    ]
    log[7]["validation/main/miou"] = math.nan
    before = run.snapshots()[-1].stat().st_size
    change_snapshot(run, ENTRIES, as_array(log))
    assert run.here("--resume", "--set", "training_params.epochs=2") == 0
    stored = json.loads((run.out / "log").read_text())
    assert len(stored) == EPOCHS + 1
    # repr, as NaN is not equal to itself; it tells all digits.
    assert repr(stored[:EPOCHS]) == repr(log)
    growth = run.snapshots()[-1].stat().st_size - before
    assert growth < 600 * EPOCHS  # 3 classes


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b'[{"epoch": "1"}]', b'[{"epoch": null}]', b"[" * 100_000],
    ids=lambda content: content[:20],
)
def test_log_in_a_snapshot_that_is_none_is_a_sentence(run, content):
    change_snapshot(run, ENTRIES, np.frombuffer(content, np.uint8))
    with pytest.raises(UserError, match="its log is no list of figures"):
        run.here("--resume")


def test_curves_of_a_run_killed_after_its_last_snapshot_are_drawn_when_resumed(run):
    """All is stored and said to be finished, but nothing was drawn of the last epoch."""
    drawn = []
    with (
        mock.patch(
            "training.progress.draw_curves", lambda log, path: drawn.append(len(log))
        ),
        mock.patch("evaluation.panels.draw_rows"),
    ):
        options = "--resume", "--set", "training_params.epochs=1"
        assert train.main(run.arguments(*options)) == 0
    assert drawn == [1]
