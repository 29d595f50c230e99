"""A file that another program has open, as on Windows: the new content waits, and is never lost."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from tiny_run import TinyRun, undisturbed_results

from files import whole_file
from files.errors import UserError
from files.whole_file import write_text


class OpenElsewhere:
    """Lets os.replace() and os.remove() refuse files as Windows does while a program has them open.

    Attributes:
        names (set of str): of the files that are open.
        attempts (int): that were refused.
    """

    def __init__(self, monkeypatch):
        self.names: set[str] = set()
        self.attempts = 0
        self.closes_after = None
        for step in ("replace", "remove"):
            monkeypatch.setattr(os, step, self._refusing(getattr(os, step)))
        monkeypatch.setattr(whole_file.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(whole_file, "_waiting", {})
        monkeypatch.setattr(whole_file, "_told", set())
        monkeypatch.setattr(whole_file.atexit, "register", lambda function: None)

    def _refusing(self, step):
        def wrapper(*paths):
            names = {os.path.basename(path) for path in paths}
            if names & self.names and self.attempts != self.closes_after:
                self.attempts += 1
                error = PermissionError(13, "Access is denied", *paths[:1])
                error.winerror = 5
                raise error
            return step(*paths)

        return wrapper


@pytest.fixture
def open_elsewhere(monkeypatch):
    return OpenElsewhere(monkeypatch)


def test_a_file_that_is_let_go_soon_is_replaced(tmp_path, open_elsewhere, capsys):
    path = tmp_path / "log"
    path.write_text("old")
    open_elsewhere.names, open_elsewhere.closes_after = {"log"}, 3
    write_text(str(path), "new")
    assert path.read_text() == "new" and capsys.readouterr().err == ""


def test_of_a_file_that_stays_open_the_newest_content_comes_later(
    tmp_path, open_elsewhere, capsys
):
    path = tmp_path / "log"
    path.write_text("old")
    open_elsewhere.names = {"log"}
    write_text(str(path), "new")
    tries = open_elsewhere.attempts
    write_text(str(path), "newest")
    assert path.read_text() == "old"
    told = capsys.readouterr().err
    assert told.count("log cannot be replaced (Access is denied): close the pro") == 1
    assert open_elsewhere.attempts == tries + 1  # waits for it only once
    open_elsewhere.names = set()
    write_text(str(tmp_path / "another"), "")
    assert path.read_text() == "newest"
    assert sorted(os.listdir(tmp_path)) == ["another", "log"]


def test_content_that_waits_to_the_end_gets_a_name_of_its_own(
    tmp_path, open_elsewhere, capsys
):
    path = tmp_path / "fcn_best.npz"
    path.write_text("old")
    open_elsewhere.names = {"fcn_best.npz"}
    write_text(str(path), "new")
    whole_file._end_waiting()
    assert (tmp_path / "fcn_best.new.npz").read_text() == "new"
    assert path.read_text() == "old"
    assert "the new one is " + str(tmp_path / "fcn_best.new.npz") in (
        capsys.readouterr().err
    )


def test_what_waits_is_looked_after_when_the_program_ends(tmp_path):
    program = (
        "import os, sys\n"
        "from files import whole_file\n"
        "whole_file._PAUSES = ()\n"
        "replace = os.replace\n"
        "def refuse(*paths):\n"
        "    os.replace = replace\n"
        "    error = PermissionError(13, 'denied')\n"
        "    error.winerror = 32\n"
        "    raise error\n"
        "os.replace = refuse\n"
        "whole_file.write_text(sys.argv[1], 'new')\n"
        "print(os.path.exists(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert os.listdir(tmp_path) == ["log"] and (tmp_path / "log").read_text() == "new"


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path, open_elsewhere):
    (tmp_path / "log").mkdir()
    open_elsewhere.names = {"log"}
    with pytest.raises(UserError, match=r"cannot write .*log: Access is denied"):
        write_text(str(tmp_path / "log"), "new")
    assert os.listdir(tmp_path) == ["log"]


def test_a_refusal_that_has_another_reason_is_an_error_at_once(tmp_path, monkeypatch):
    def refuse(*paths):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        write_text(str(tmp_path / "log"), "new")


HELD = ["log", "curves.png", "fcn_best.npz", "snapshot_iteration_00000003.npz"]


def test_training_goes_on_while_its_files_are_open_elsewhere(
    small_data, open_elsewhere, capsys
):
    """All of them to the end: what waits then is moved to names that say so."""
    _, undisturbed_models = undisturbed_results()
    capsys.readouterr()
    run = TinyRun(small_data)
    open_elsewhere.names = set(HELD)
    assert run.here() == 0
    told = capsys.readouterr().err
    whole_file._end_waiting()
    models = run.out / "model"
    best = (models / "fcn_best.new.npz").read_bytes()
    assert best == undisturbed_models["fcn_best.npz"]
    assert (run.out / "log.new").exists()
    assert (run.out / "snapshot_iteration_00000003.new.npz").exists()
    assert [path.name for path in run.snapshots()] == [
        "snapshot_iteration_00000009.npz",
        "snapshot_iteration_00000012.npz",
    ]
    for name in ("log", "fcn_best.npz", "snapshot_iteration_00000003.npz"):
        assert told.count(f"{name} cannot be replaced") == 1


def test_snapshot_that_cannot_be_removed_stays_until_it_can(small_data, open_elsewhere):
    run = TinyRun(small_data)
    assert run.here("--set", "training_params.epochs=2") == 0
    first, second = (path.name for path in run.snapshots())
    open_elsewhere.names = {first}
    assert run.here("--resume", "--set", "training_params.epochs=3") == 0
    assert [path.name for path in run.snapshots()][:2] == [first, second]
    open_elsewhere.names = set()
    assert run.here("--resume") == 0
    assert len(run.snapshots()) == 2
    assert (
        run.results()[1]["fcn_final.npz"] == (undisturbed_results()[1]["fcn_final.npz"])
    )
