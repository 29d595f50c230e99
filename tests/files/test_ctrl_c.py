"""Ctrl-C before a program has begun."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

# Stands in for Chainer: asks the process to end in the middle of the import.
INTERRUPTED_IMPORT = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(9)
"""


@pytest.mark.parametrize(
    "program", ["train.py", "predict.py", "data_check.py", "visualizer.py"]
)
def test_ctrl_c_while_modules_are_imported_prints_nothing(tmp_path, program):
    (tmp_path / "chainer.py").write_text(INTERRUPTED_IMPORT)
    done = subprocess.run(
        [sys.executable, str(ROOT / program), "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGINT  # for a shell, 130
    assert (done.stdout, done.stderr) == (b"", b"")
