"""Printing never ends a program, wherever its output goes."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

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
