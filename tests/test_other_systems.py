"""Paths, lock and names as on Windows: with ntpath, two drives, and a stand-in for msvcrt."""

import argparse
import ntpath
import os
import signal
import subprocess
import sys
import types

import pytest

from dataset import list_reader
from dataset.file_finder import refuse_missing
from evaluation.input_files import DistinctNames
from files import command_line, paths, whole_file
from files.errors import UserError
from training import folder_lock, interruption, output_folder


@pytest.fixture
def windows_paths(monkeypatch):
    fake = types.SimpleNamespace(
        path=ntpath, sep="\\", pardir="..", PathLike=os.PathLike
    )
    monkeypatch.setattr(paths, "os", fake)
    monkeypatch.setattr(list_reader, "os", fake)


def test_stored_path_on_another_drive_is_absolute(windows_paths):
    assert paths.relative("D:\\data\\images", "C:\\result") == "D:/data/images"
    assert paths.relative("C:\\data\\images", "C:\\result") == "../data/images"


@pytest.mark.parametrize("name", ["C:a.png", "D:\\a.png", "\\a.png", "/a.png", "..\\a"])
def test_name_in_a_list_that_leaves_the_folder_on_windows(windows_paths, name):
    assert "leaves the image folder" in list_reader._problem_of_name(name)
    assert list_reader._problem_of_name("a\\b.png") is None


def test_backslash_in_a_name_of_a_list_is_explained(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()
    with pytest.raises(UserError, match=r"write / between folders, not \\"):
        refuse_missing(f"{tmp_path}/a\\b.png")


def test_accented_letter_is_one_name_however_it_is_spelt():
    names = map(DistinctNames(), ["\u00e9", "e\u0301"])
    assert list(names) == ["\u00e9", "e\u0301-2"]


def test_lock_without_fcntl_leaves_the_process_id_readable(tmp_path, monkeypatch):
    locked = set()

    def locking(number, mode, length):
        place = os.fstat(number).st_ino, os.lseek(number, 0, os.SEEK_CUR)
        if place in locked:
            raise PermissionError(13, "Permission denied")
        locked.add(place)

    fake = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setattr(folder_lock, "fcntl", None)
    monkeypatch.setattr(folder_lock, "msvcrt", fake, raising=False)
    message = rf"in use by another run \(process {os.getpid()}\)"
    with (
        folder_lock.locked(str(tmp_path)),
        pytest.raises(UserError, match=message),
        folder_lock.locked(str(tmp_path)),
    ):
        pass
    assert [place for _, place in locked] == [1 << 30]


def test_no_signal_is_sent_to_find_out_whether_a_process_lives(monkeypatch):
    monkeypatch.setattr(output_folder.psutil, "pid_exists", lambda pid: pid == 7)
    monkeypatch.setattr(os, "kill", lambda *args: pytest.fail("a signal"))
    assert output_folder._is_alive(7) and not output_folder._is_alive(8)


def test_ctrl_break_asks_a_run_to_end(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    assert signal.SIGUSR1 in interruption._signals()


def test_suggested_commands_are_quoted_as_windows_shells_read_them(monkeypatch):
    arguments = argparse.Namespace(config="my data.yaml", set=[])
    monkeypatch.delenv("UV", raising=False)
    fake = types.SimpleNamespace(name="nt", environ={}, path=os.path)
    monkeypatch.setattr(command_line, "os", fake)
    words = command_line.command("train.py", arguments, "--resume")
    assert words == 'python train.py --config "my data.yaml" --resume'


@pytest.mark.parametrize("is_refused", [False, True])
def test_files_are_flushed_to_the_disk_itself_on_macos(
    tmp_path, monkeypatch, is_refused
):
    calls = []

    def flush(number, command):
        calls.append(command)
        if is_refused:
            raise OSError(45, "Operation not supported")

    fake = types.SimpleNamespace(F_FULLFSYNC=51, fcntl=flush)
    monkeypatch.setattr(whole_file, "fcntl", fake)
    monkeypatch.setattr(os, "fsync", lambda number: calls.append("fsync"))
    whole_file.write_text(str(tmp_path / "a.txt"), "whole")
    once = [51, "fsync"] if is_refused else [51]
    assert calls == once * 2  # the file, and its folder
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_tests_can_be_collected_without_what_windows_lacks():
    """Modules that only Unix has are hidden; nothing is run."""
    hide = (
        "import sys, os, types, multiprocessing as m\n"
        "import psutil\n"  # whose Linux half needs what is hidden
        "sys.modules['msvcrt'] = types.ModuleType('msvcrt')\n"
        "for name in ('resource', 'fcntl', 'pty', 'termios'): sys.modules[name] = None\n"
        "del os.mkfifo\n"
        "m.get_all_start_methods = lambda: ['spawn']\n"
        "import pytest; sys.exit(pytest.main(['--collect-only', '-qq', '-p', 'no:cacheprovider']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", hide], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-2000:]
