"""One run at a time in a folder, and none over the results of another configuration."""

import contextlib
import functools
import itertools
import json
import os
import shutil
import signal

import pytest
from tiny_run import TinyRun, die_at_write, undisturbed_results, wait

from config import dump_config
from files.errors import UserError
from training import folder_lock
from training.folder_lock import locked
from training.output_folder import remove_leftovers, take_over

ONE_EPOCH = ["--set", "training_params.epochs=1"]


def kill_at_step(number: int, take_over, *arguments) -> None:
    """Take a folder over, and stop before the n-th of the steps that change it."""
    steps = itertools.count(1)

    def limited(step):
        def wrapper(*args, **kwargs):
            if next(steps) >= number:
                raise KeyboardInterrupt
            return step(*args, **kwargs)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "remove", "rmdir", "makedirs"):
            patch.setattr(os, name, limited(getattr(os, name)))
        with contextlib.suppress(KeyboardInterrupt):
            take_over(*arguments, False)


@pytest.fixture
def run(small_data):
    return TinyRun(small_data)


class TestLock:
    def test_second_run_is_refused_and_told_who_is_there(self, run):
        message = rf"is in use by another run \(process {os.getpid()}\)"
        with (
            locked(str(run.out)),
            pytest.raises(UserError, match=message),
        ):
            run.here()
        assert os.listdir(run.out) == [".lock"]

    def test_lock_of_a_killed_process_is_taken_over(self, run):
        prepare = functools.partial(die_at_write, 50)
        assert run.finish(prepare=prepare) == -signal.SIGKILL
        holder = int((run.out / ".lock").read_text())
        assert holder != os.getpid()
        with locked(str(run.out)):
            assert int((run.out / ".lock").read_text()) == os.getpid()

    def test_lock_is_free_after_an_error(self, run):
        with pytest.raises(ZeroDivisionError), locked(str(run.out)):
            raise ZeroDivisionError
        with locked(str(run.out)):
            pass

    def test_what_a_link_named_lock_leads_to_is_not_changed(self, run):
        run.out.mkdir()
        precious = run.data.folder / "precious"
        precious.write_text("1")
        (run.out / ".lock").symlink_to(precious)
        with pytest.raises(UserError, match=r"\.lock: it is no plain file; remove it"):
            run.here()
        assert precious.read_text() == "1"

    @pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
    def test_pipe_or_folder_named_lock_is_an_error(self, run, make):
        run.out.mkdir()
        getattr(os, make)(run.out / ".lock")
        with pytest.raises(UserError, match=r"\.lock: it is no plain file; remove it"):
            run.here()

    def test_lock_of_another_program_is_not_changed(self, run):
        run.out.mkdir()
        (run.out / ".lock").write_text("of a database")
        with pytest.raises(UserError, match="is not this program's; remove it"):
            run.here()
        assert (run.out / ".lock").read_text() == "of a database"

    def test_run_whose_folder_was_removed_ends_and_does_not_make_it_again(
        self, run, monkeypatch
    ):
        def remove_folder(*args):
            shutil.rmtree(run.out, ignore_errors=True)
            return 0.001

        monkeypatch.setattr("train.LearningRate.__call__", remove_folder)
        with pytest.raises(UserError, match="was removed or replaced"):
            run.here()
        assert not run.out.exists()

    def test_run_whose_folder_is_another_runs_now_writes_nothing_there(
        self, run, monkeypatch
    ):
        with contextlib.ExitStack() as second:

            def replace_folder(*args):
                if os.listdir(run.out) != [".lock"]:
                    shutil.rmtree(run.out)
                    second.enter_context(locked(str(run.out)))
                return 0.001

            monkeypatch.setattr("train.LearningRate.__call__", replace_folder)
            with pytest.raises(UserError, match="was removed or replaced"):
                run.here()
            assert os.listdir(run.out) == [".lock"]

    def test_file_system_without_locks_is_noted(self, run, monkeypatch, capsys):
        def no_locks(*args):
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(folder_lock.fcntl, "flock", no_locks)
        with locked(str(run.out)):
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
        remove_leftovers(str(run.out))
        assert run.leftovers() == []

    @pytest.mark.parametrize(
        "name",
        [
            "log.tmp{}",
            "config.tmp{}.yaml",
            "data_check.tmp{}.png",
            "snapshot_iteration_00000003.tmp{}.npz",
            "model/fcn_best.tmp{}.npz",
            "progress/epoch_0001.tmp{}.png",
            "predict/scores.tmp{}.json",
            "predict/inputs/photos/a_color.tmp{}.png",
            "predict/inputs/a_confidence.tmp{}.png",
            "predict/inputs/clip_overlay.tmp{}.webm",
            "predict/inputs/clip_overlay.tmp{}.mp4",
        ],
    )
    def test_of_each_file_of_a_run_only_those_of_dead_writers_go(self, run, name):
        dead, living = (run.out / name.format(n) for n in (999_999_999, os.getppid()))
        for path in (dead, living):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        remove_leftovers(str(run.out))
        assert not dead.exists() and living.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "mine/data.tmp2024.csv",
            "data.tmp2024.csv",
            "mine/log.tmp2024",
            "scores.tmp2024.json",
            "model/notes.tmp2024.npz",
            "predict/inputs/data.tmp2024.csv",
        ],
    )
    def test_files_of_the_user_stay(self, run, name):
        path = run.out / name
        path.parent.mkdir(parents=True)
        path.touch()
        run.here(*ONE_EPOCH)
        assert path.exists()

    def test_run_that_is_refused_removes_nothing(self, run):
        run.here(*ONE_EPOCH)
        leftover = run.out / "log.tmp999999999"
        leftover.touch()
        with pytest.raises(UserError, match="another configuration"):
            run.here(*ONE_EPOCH, "--set", "seed=3")
        assert leftover.exists()

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

    def test_snapshot_of_another_run_does_not_overwrite_either(self, run):
        run.here(*ONE_EPOCH)
        before = run.results()
        other = ["--set", "output_path=other", "--set", "seed=3"]
        run.here(*ONE_EPOCH, *other)
        snapshot = run.data.folder / "other" / "snapshot_iteration_00000003.npz"
        with pytest.raises(
            UserError, match=r"another configuration: .*seed \(0 there, 3"
        ):
            run.here("--set", "seed=3", "--resume", str(snapshot))
        copy = shutil.copy(snapshot, run.out / "snapshot_iteration_00000009.npz")
        for option in (["--resume", str(copy)], ["--resume"]):
            with pytest.raises(UserError, match="another configuration: seed"):
                run.here("--set", "seed=3", *option)
        assert run.results() == before

    def test_resume_is_not_offered_to_who_typed_it_or_has_no_snapshot(self, run):
        run.here(*ONE_EPOCH)
        run.snapshots()[0].unlink()
        for options in ([], ["--resume"]):
            with pytest.raises(UserError, match="another configuration") as caught:
                run.here(*options)
            assert "by --resume" not in str(caught.value)

    @pytest.mark.parametrize(
        "text", ["seed: [", "seed: x", "1", "seed: 0", '"\\e[2J": 1'], ids=range(5)
    )
    def test_stored_configuration_that_is_none_counts_as_another(self, run, text):
        run.here(*ONE_EPOCH)
        before = run.results()
        (run.out / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="another configuration: unknown") as caught:
            run.here(*ONE_EPOCH)
        assert "\x1b" not in str(caught.value)
        assert run.results() == before
        assert run.here(*ONE_EPOCH, "--resume") == 0  # its snapshot tells what it is

    def test_control_characters_of_a_stored_value_do_not_reach_the_terminal(self, run):
        run.here(*ONE_EPOCH)
        stored = (run.out / "config.yaml").read_text()
        changed = stored.replace("ignore_labels: []", 'ignore_labels: ["a\\e[2Jb"]')
        assert changed != stored
        (run.out / "config.yaml").write_text(changed)
        with pytest.raises(UserError) as caught:
            run.here(*ONE_EPOCH)
        assert str(caught.value).isprintable()

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
        earlier = run.out / "earlier" / reached
        assert f"continued with --resume {earlier}" in run.output
        assert run.snapshots() == []
        assert run.here("--resume", str(earlier)) == 0
        log, models = run.results()
        assert log == undisturbed_results()[0]
        for name in ("fcn_best.npz", "fcn_final.npz"):
            assert models[name] == undisturbed_results()[1][name]
        assert not earlier.exists()

    def test_finished_run_that_was_started_again_comes_back_whole(self, run):
        run.here()
        before, snapshots = run.results(), [path.name for path in run.snapshots()]
        again = functools.partial(die_at_write, 200)
        assert run.finish(prepare=again) == -signal.SIGKILL
        assert not (run.out / "model" / "fcn_final.npz").exists()
        earlier = run.out / "earlier" / snapshots[-1]
        assert run.here("--resume", str(earlier)) == 0
        assert run.results() == before
        assert snapshots[-1] in [path.name for path in run.snapshots()]
        assert not earlier.parent.exists()

    @pytest.mark.parametrize("moment", range(1, 12))
    def test_killed_while_results_are_moved_aside_or_back_loses_none(self, run, moment):
        config = run.data.load()
        for name in ("log", "snapshot_iteration_00000003.npz", "model/fcn_best.npz"):
            (run.out / name).parent.mkdir(parents=True, exist_ok=True)
            (run.out / name).write_text(name)
        (run.out / "config.yaml").write_text(dump_config(config, run.out))
        for resumed in (None, "earlier/snapshot_iteration_00000003.npz"):
            kill_at_step(moment, take_over, str(run.out), config, resumed)
            found = [p for p in run.out.rglob("*") if p.is_file()]
            assert {p.read_text() for p in found} >= {
                "log",
                "snapshot_iteration_00000003.npz",
                "model/fcn_best.npz",
            }
        snapshot = next(run.out.rglob("snapshot_*.npz"))
        take_over(str(run.out), config, str(snapshot), False)
        assert (run.out / "log").is_file()
        assert (run.out / "snapshot_iteration_00000003.npz").is_file()
        assert (run.out / "model/fcn_best.npz").is_file()


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
