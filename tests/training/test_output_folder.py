"""One run at a time in a folder, and none over the results of another configuration."""

import functools
import json
import os
import signal

import pytest
from tiny_run import TinyRun, die_at_write, undisturbed_results, wait

from files.errors import UserError
from training import output_folder

ONE_EPOCH = ["--set", "training_params.epochs=1"]


@pytest.fixture
def run(small_data):
    return TinyRun(small_data)


class TestLock:
    def test_second_run_is_refused_and_told_who_is_there(self, run):
        message = rf"is in use by another run \(process {os.getpid()}\)"
        with (
            output_folder.locked(str(run.out)),
            pytest.raises(UserError, match=message),
        ):
            run.here()
        assert os.listdir(run.out) == [".lock"]

    def test_lock_of_a_killed_process_is_taken_over(self, run):
        prepare = functools.partial(die_at_write, 50)
        assert run.finish(prepare=prepare) == -signal.SIGKILL
        holder = int((run.out / ".lock").read_text())
        assert holder != os.getpid()
        with output_folder.locked(str(run.out)):
            assert int((run.out / ".lock").read_text()) == os.getpid()

    def test_lock_is_free_after_an_error(self, run):
        with pytest.raises(ZeroDivisionError), output_folder.locked(str(run.out)):
            raise ZeroDivisionError
        with output_folder.locked(str(run.out)):
            pass

    def test_file_system_without_locks_is_noted(self, run, monkeypatch, capsys):
        def no_locks(*args):
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(output_folder.fcntl, "flock", no_locks)
        with output_folder.locked(str(run.out)):
            assert (
                "cannot be locked (Function not implemented)" in capsys.readouterr().out
            )


class TestLeftovers:
    def test_killed_writers_files_are_removed_at_the_next_start(self, run):
        # Within the snapshot of the first epoch: 60 arrays of each of two models come before.
        assert (
            run.finish(prepare=functools.partial(die_at_write, 200)) == -signal.SIGKILL
        )
        (leftover,) = run.leftovers()
        assert leftover.suffix == ".npz"
        with output_folder.locked(str(run.out)):
            assert run.leftovers() == []

    def test_files_of_a_writer_that_lives_stay(self, run):
        run.out.mkdir()
        writing = run.out / f"scores.tmp{os.getppid()}.json"
        writing.touch()
        with output_folder.locked(str(run.out)):
            assert writing.exists()

    def test_other_files_stay(self, run):
        run.out.mkdir()
        for name in ("notes.txt", "a.tmp.npz", "b.tmpx1.npz", "scores.json"):
            (run.out / name).touch()
        run.here(*ONE_EPOCH)
        assert {"notes.txt", "a.tmp.npz", "b.tmpx1.npz", "scores.json"} <= set(
            os.listdir(run.out)
        )


class TestOtherResults:
    def test_scores_of_replaced_weights_go_and_results_for_photos_stay(self, run):
        run.here(*ONE_EPOCH)
        (run.out / "predict" / "inputs").mkdir(parents=True)
        scores = [run.out / "predict" / n for n in ("scores.json", "a_color.png")]
        photo = run.out / "predict" / "inputs" / "a_color.png"
        for path in (*scores, photo):
            path.touch()
        run.here(*ONE_EPOCH)
        assert not any(path.exists() for path in scores) and photo.exists()

    def test_results_of_another_configuration_are_not_overwritten(self, run):
        run.here(*ONE_EPOCH)
        before = run.results()
        with pytest.raises(UserError) as caught:
            run.here(*ONE_EPOCH, "--set", "seed=3")
        assert "seed (0 there, 3 here)" in str(caught.value)
        assert "--overwrite" in str(caught.value)
        assert "--resume" not in str(caught.value)
        assert run.results() == before

    def test_where_resume_would_do_it_is_offered(self, run):
        run.here(*ONE_EPOCH)
        with pytest.raises(UserError, match="go on with that run by --resume"):
            run.here()

    def test_resume_without_a_snapshot_does_not_overwrite_either(self, run):
        run.here(*ONE_EPOCH)
        for path in run.snapshots():
            path.unlink()
        with pytest.raises(UserError, match="another configuration: seed"):
            run.here(*ONE_EPOCH, "--resume", "--set", "seed=3")

    def test_results_without_a_configuration_are_not_overwritten(self, run):
        run.here(*ONE_EPOCH)
        (run.out / "config.yaml").unlink()
        with pytest.raises(UserError, match="another configuration: unknown"):
            run.here(*ONE_EPOCH)

    def test_overwrite_leaves_nothing_of_the_other(self, run):
        run.here()
        (run.out / "progress").mkdir(exist_ok=True)
        (run.out / "progress" / "epoch_0004.png").touch()
        run.here(*ONE_EPOCH, "--set", "seed=3", "--overwrite")
        models = {"fcn_1.npz", "fcn_best.npz", "fcn_final.npz"}
        assert set(os.listdir(run.out / "model")) == models
        assert [p.name for p in run.snapshots()] == ["snapshot_iteration_00000003.npz"]
        assert not (run.out / "progress" / "epoch_0004.png").exists()
        assert len(json.loads((run.out / "log").read_text())) == 1

    def test_folder_with_other_files_may_be_used(self, run):
        run.out.mkdir()
        for name in ("notes.txt", "report.html"):
            (run.out / name).touch()
        assert run.here(*ONE_EPOCH) == 0

    def test_overwrite_and_resume_exclude_each_other(self, run, capsys):
        with pytest.raises(SystemExit):
            run.here("--overwrite", "--resume")
        assert "not allowed with" in capsys.readouterr().err


class TestSameCommandAgain:
    def test_starts_again_and_ends_the_same(self, run):
        for _ in range(2):
            run.here()
            assert run.results() == undisturbed_results()

    def test_settings_that_change_no_result_may_differ(self, run):
        run.here(*ONE_EPOCH)
        others = ("--set", "loader_jobs=1", "--set", "debug_mode=false")
        assert run.here(*ONE_EPOCH, *others) == 0

    def test_who_forgot_resume_loses_nothing(self, run, capsys):
        """A run killed late, and started again by mistake, can still be continued."""
        killed = functools.partial(die_at_write, 1100)
        assert run.finish(prepare=killed) == -signal.SIGKILL
        reached = run.snapshots()[-1].name
        assert reached == "snapshot_iteration_00000006.npz"
        again = functools.partial(die_at_write, 100)
        assert run.finish(prepare=again) == -signal.SIGKILL
        earlier = run.out / "earlier_iteration_00000006.npz"
        assert f"continued with --resume {earlier}" in run.output
        assert run.snapshots() == []
        assert run.here("--resume", str(earlier)) == 0
        log, models = run.results()
        assert log == undisturbed_results()[0]
        for name in ("fcn_best.npz", "fcn_final.npz"):
            assert models[name] == undisturbed_results()[1][name]
        assert not earlier.exists()


def test_waiting_for_a_process_that_hangs_is_bounded():
    """Of the tests themselves: a hang is an error, not a hang."""

    class Hanging:
        exitcode = None

        def join(self, timeout):
            assert timeout > 0

        def kill(self):
            self.killed = True

    process = Hanging()
    with pytest.raises(TimeoutError):
        wait(process)
    assert process.killed
