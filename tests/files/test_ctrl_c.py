"""Ctrl-C, and too little of everything, before a program has begun."""

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


PROGRAMS = [
    "train",
    "predict",
    "export",
    "learn",
    "data_check",
    "visualizer",
    "prepare",
    "cross_validate",
]


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


def start_with_numpy(folder, content: str, program: str = "data_check"):
    """Run a program with a stand-in for NumPy."""
    (folder / "numpy.py").write_text(content)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    return subprocess.run(
        [sys.executable, str(ROOT / f"{program}.py"), "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_memory_that_is_too_small_to_start_is_told_in_a_sentence(tmp_path, program):
    done = start_with_numpy(tmp_path, "raise MemoryError", program)
    assert done.returncode == 2
    assert done.stderr.startswith("error: not enough memory to start; close other")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ("ImportError('liba.so: failed to map segment from shared object')", "-v"),
        ("ImportError('liba.so: cannot map: Cannot allocate memory')", "-v"),
        ('RuntimeError("can\'t start new thread")', "-u"),
        ("BlockingIOError(11, 'Resource temporarily unavailable')", "-u"),
        ("OSError(24, 'Too many open files')", "-n"),
    ],
)
def test_import_that_the_limits_forbid_names_the_limit(tmp_path, raised, sentence):
    wrapped = (
        f"try:\n    raise {raised}\nexcept Exception:\n    raise ImportError('numpy')"
    )
    done = start_with_numpy(tmp_path, wrapped)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(f"raise ulimit {sentence}\n")


def test_import_that_fails_for_another_reason_keeps_its_traceback(tmp_path):
    done = start_with_numpy(tmp_path, "raise ImportError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ImportError: a bug" in done.stderr


def test_openblas_starts_no_threads(tmp_path):
    """It would end the process by SIGSEGV where there is too little memory for them."""
    show = "import os; print(os.environ['OPENBLAS_NUM_THREADS']); os._exit(0)"
    assert start_with_numpy(tmp_path, show).stdout == "1\n"
