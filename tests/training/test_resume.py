"""A resumed run is the run that would have been: same weights, same log, same best model."""

import functools
import sys

import numpy as np
import pytest
from tiny_run import TinyRun, die_at_write, undisturbed_results

from files.errors import BrokenFileError, UserError
from files.npz_reader import read_npz

KILLED = -9


@pytest.fixture
def run(small_data):
    return TinyRun(small_data)


def kill_and_resume(run: TinyRun, moments) -> int:
    """Resume a run until it ends, killing it at each of the moments; returns the kills."""
    kills = 0
    for moment in moments:
        code = run.finish("--resume", prepare=functools.partial(die_at_write, moment))
        assert code in (0, KILLED), run.output
        if code == 0:
            return kills
        kills += 1
    assert run.finish("--resume") == 0, run.output
    return kills


def test_killed_at_any_write_and_resumed_gives_the_same_bytes(run):
    # In the first model, in the first snapshot, in the models and the snapshot of a later epoch.
    assert kill_and_resume(run, [20, 300, 700, 470]) == 4
    assert run.results() == undisturbed_results()
    assert run.leftovers() == []


def test_resume_with_nothing_to_resume_starts_from_the_beginning(run, capsys):
    assert run.here("--resume") == 0
    assert "no snapshot" in (text := capsys.readouterr().out)
    assert "starting from the beginning" in text
    assert run.results() == undisturbed_results()


def test_finished_run_says_so_and_trains_no_more(run, capsys):
    run.here()
    capsys.readouterr()
    assert run.here("--resume") == 0
    output = capsys.readouterr().out
    assert "this run has finished already" in output
    assert "4/4" not in output
    assert run.results() == undisturbed_results()


def test_fewer_epochs_than_were_trained_count_as_finished(run, capsys):
    run.here()
    assert run.here("--resume", "--set", "training_params.epochs=3") == 0
    assert "this run has finished already" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [(0, 2), (2, 0)], ids=str)
def test_settings_that_change_no_result_may_change(run, jobs):
    before, after = jobs
    options = ["--set", "training_params.epochs=2", "--set", f"loader_jobs={before}"]
    run.here(*options)
    run.here("--resume", "--set", f"loader_jobs={after}", "--set", "cache_size=0")
    assert run.results() == undisturbed_results()


@pytest.mark.parametrize("terminals", [(True, False), (False, True)], ids=str)
def test_run_started_in_a_terminal_goes_on_without_and_back(
    run, terminals, monkeypatch
):
    """Only in a terminal there is a progress bar."""
    for is_terminal, epochs in zip(terminals, (2, 4), strict=True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda answer=is_terminal: answer)
        run.here("--resume", "--set", f"training_params.epochs={epochs}")
    assert run.results() == undisturbed_results()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            ["training_params.batch_size=3"],
            ["training_params.batch_size (2 there, 3 here)"],
        ),
        (["seed=7", "normalizer=LCN"], ["seed (0 there, 7 here)", "normalizer"]),
        (["ignore_labels=[Sky]"], ["ignore_labels", "the colours in label_path"]),
        (["train_image_pointer=val_pointer"], ["the names in train_image_pointer"]),
    ],
    ids=str,
)
def test_other_settings_are_refused_by_name(run, options, named):
    run.here("--set", "training_params.epochs=1")
    overrides = [word for option in options for word in ("--set", option)]
    with pytest.raises(UserError) as caught:
        run.here("--resume", *overrides)
    for phrase in named:
        assert phrase in str(caught.value)


def test_run_goes_on_in_another_folder_with_its_log_and_best_model(run):
    run.here("--set", "training_params.epochs=3", "--set", "output_path=first")
    snapshot = str(run.data.folder / "first" / "snapshot_iteration_00000009.npz")
    run.here("--resume", snapshot)
    log, models = run.results()
    assert log == undisturbed_results()[0]
    for name in ("fcn_best.npz", "fcn_final.npz"):
        assert models[name] == undisturbed_results()[1][name]


class TestBrokenSnapshot:
    def test_truncated_newest_is_reported_and_the_one_before_it_used(self, run, capsys):
        run.here("--set", "training_params.epochs=3")
        newest = run.snapshots()[-1]
        content = newest.read_bytes()
        newest.write_bytes(content[: len(content) // 2])
        run.here("--resume")
        output = capsys.readouterr()
        assert newest.name in output.err and "trying the one before it" in output.err
        assert "snapshot_iteration_00000006.npz, after epoch 2" in output.out
        assert run.results() == undisturbed_results()
        assert len(run.snapshots()) == 2

    def test_broken_one_is_not_kept_in_place_of_a_whole_one(self, run):
        run.here("--set", "training_params.epochs=3")
        run.snapshots()[-1].write_bytes(b"")
        run.here("--resume", "--set", "training_params.epochs=3")
        assert run.snapshots()
        for path in run.snapshots():
            assert read_npz(str(path), "--resume", 1 << 30, must_have_checksum=True)

    def test_no_whole_snapshot_is_an_error(self, run):
        run.here("--set", "training_params.epochs=2")
        for path in run.snapshots():
            path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(UserError, match="no snapshot in .* is usable"):
            run.here("--resume")

    def test_cut_at_every_power_of_two_and_flipped_bytes_are_detected(self, run):
        run.here("--set", "training_params.epochs=1")
        path = run.snapshots()[-1]
        content = path.read_bytes()
        powers = 2 ** np.arange(len(content).bit_length())
        for cut in [0, *powers.tolist(), len(content) - 1]:
            path.write_bytes(content[:cut])
            with pytest.raises(BrokenFileError):
                read_npz(str(path), "--resume", 1 << 30, must_have_checksum=True)
        rng = np.random.default_rng(0)
        # At random places, and in the tables at the end, which zip's checksums leave out.
        ends = len(content) - 1 - rng.integers(0, 40_000, 20)
        for place in [*rng.integers(0, len(content), 20), *ends]:
            changed = bytearray(content)
            changed[place] ^= 1 << rng.integers(0, 8)
            path.write_bytes(changed)
            with pytest.raises(BrokenFileError):
                read_npz(str(path), "--resume", 1 << 30, must_have_checksum=True)

    def test_weights_are_no_snapshot(self, run):
        run.here("--set", "training_params.epochs=1")
        with pytest.raises(UserError, match="is no snapshot of a run"):
            run.here("--resume", str(run.out / "model" / "fcn_best.npz"))


def test_run_that_patience_ends_is_the_same_after_a_kill_and_can_go_on(
    small_data, capsys
):
    # At this rate nothing is learnt: no epoch is better than the first.
    params = {"epochs": 4, "patience": 2, "learning_rate": 1e-9}
    run = TinyRun(small_data, training_params=params)
    assert run.here() == 0
    assert (
        "training ended early, after 3 of 4 epochs: no better validation mean IoU for 2 epochs"
        in capsys.readouterr().out
    )
    log, models = expected = run.results()
    assert len(log) == 3 and "fcn_final.npz" in models
    assert kill_and_resume_from_scratch(run) == expected
    capsys.readouterr()
    assert run.here("--resume") == 0
    output = capsys.readouterr().out
    assert "ended already, by training_params.patience" in output
    assert "3/4" not in output
    assert run.results() == expected
    run.here("--resume", "--set", "training_params.patience=0")
    assert len(run.results()[0]) == 4


def kill_and_resume_from_scratch(run: TinyRun):
    """The results of a run that is started again, killed in its second epoch, and resumed."""
    kill = functools.partial(die_at_write, 700)
    assert run.finish("--overwrite", prepare=kill) == KILLED
    assert run.finish("--resume") == 0, run.output
    return run.results()
