"""Ctrl-C before a program has begun."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

# Stands in for NumPy: asks the process to end in the middle of the import.
INTERRUPTED_IMPORT = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(9)
"""


PROGRAMS = ["train", "predict", "export", "learn", "data_check", "visualizer"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_modules_are_imported_prints_nothing(tmp_path, program):
    (tmp_path / "numpy.py").write_text(INTERRUPTED_IMPORT)
    done = subprocess.run(
        [sys.executable, str(ROOT / f"{program}.py"), "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
        # A shell starts background jobs with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.returncode == -signal.SIGINT  # for a shell, 130
    assert (done.stdout, done.stderr) == (b"", b"")
