"""Printing never ends a program, wherever its output goes."""

import errno
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from files import terminal
from files.errors import run_program

PROGRAM = """
import sys
from files.errors import UserError, run_program
def main():
    print("\\u9053\\u8def \\udcff")
    with open(sys.argv[1], "w") as file:  # gets the lowest free number
        print("to the terminal")
        print("an error", file=sys.stderr)
        file.write(str(file.fileno()))
run_program(main)
"""


def run(path, shell_redirection: str, **environment) -> subprocess.CompletedProcess:
    command = f'"$@" {shell_redirection}'
    return subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-c", PROGRAM, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PYTHONIOENCODING": "cp1252"}, b"?? ?"),
        ({"PYTHONIOENCODING": "cp932"}, "道路 ?".encode("cp932")),
        ({"PYTHONIOENCODING": "utf-8"}, "道路 ?".encode()),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"?? ?"),
    ],
)
def test_characters_that_the_terminal_lacks_are_replaced(tmp_path, environment, line):
    done = run(tmp_path / "file", "", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == line


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_printed_to_a_closed_stream_ends_in_no_file(tmp_path, redirection):
    done = run(tmp_path / "file", redirection)
    assert done.returncode == 0
    assert int((tmp_path / "file").read_text()) > 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_sentence(tmp_path):
    done = run(tmp_path / "file", ">/dev/full", PYTHONUNBUFFERED="")
    assert done.returncode == 2
    assert done.stderr == b"an error\nerror: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("redirection", ["2>/dev/full", ">/dev/full 2>/dev/full"])
def test_errors_that_cannot_be_written_leave_the_exit_code(tmp_path, redirection):
    """Python's own would be 1, with a traceback, or 120."""
    assert run(tmp_path / "file", redirection).returncode == 2


def test_closed_pipe_of_windows_is_a_reader_that_has_gone(monkeypatch, capsys):
    def closed_pipe():
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(terminal.os, "name", "nt")
    with pytest.raises(SystemExit) as end:
        run_program(closed_pipe)
    assert end.value.code == 141
    assert capsys.readouterr().err == ""


def test_invalid_name_of_a_file_is_still_an_error_on_windows(monkeypatch):
    monkeypatch.setattr(terminal.os, "name", "nt")
    error = OSError(errno.EINVAL, "Invalid argument", "a?b.png")
    assert not terminal.is_reader_gone(error)
