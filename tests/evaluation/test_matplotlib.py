"""Figures are drawn whatever the environment says about matplotlib."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(("name", "backend"), [("nonsense", "agg"), ("pdf", "pdf")])
def test_an_unknown_backend_in_the_environment_changes_nothing(name, backend):
    code = "from evaluation import figures; from matplotlib import get_backend; print(get_backend())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MPLBACKEND": name, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{backend}\n", "")
