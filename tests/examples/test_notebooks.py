"""The notebooks in examples/ run as they stand, but for fewer iterations, and show what they made."""

import json
import shutil
import sys

import matplotlib
import numpy as np
import pytest
from conftest import ROOT, SmallData
from demo_model import write_demo_model
from matplotlib import pyplot

from files.opencv import cv2


def cells_of(name: str) -> list[dict]:
    text = (ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8")
    return [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder; it looks like the project's to the notebooks."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "fcn_squeeze.py", tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # the notebooks add to it
    backend = matplotlib.get_backend()
    pyplot.switch_backend("agg")
    yield tmp_path
    pyplot.close("all")
    pyplot.switch_backend(backend)


def run(name: str, **replaced: str) -> dict:
    """The variables after all code cells; a line "KEY = ..." is replaced by another value."""
    variables: dict = {}
    for cell in cells_of(name):
        lines = "".join(cell["source"]).splitlines()
        for key, value in replaced.items():
            lines = [f"{key} = {value}" if s.startswith(key) else s for s in lines]
        exec("\n".join(lines), variables)  # noqa: S102
    return variables


def test_the_prediction_notebook_loads_predicts_and_plots(folder):
    write_demo_model(folder)
    images = folder / "data" / "demo" / "images"
    images.mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    for number in (0, *range(96, 104)):
        cv2.imwrite(str(images / f"demo_{number:04}.png"), picture)
    variables = run("predict")
    assert len(variables["sureness"]) == 8
    assert len(variables["figure"].axes) == 4
    saved = sorted(path.name for path in (folder / "result/notebook").iterdir())
    endings = "classes", "color", "confidence", "overlay"
    assert saved == [f"demo_0000_{ending}.png" for ending in endings]


def test_the_training_notebook_is_the_chapters_loop(folder):
    data = SmallData(folder / "set", train=5, val=2, test=1, size=(32, 48))
    path = data.write_config(training_params={"learning_rate": 0.01})
    variables = run("train", CONFIG=repr(str(path)), ITERATIONS="12")
    losses = variables["losses"]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert variables["confusion"].sum() == 2 * 32 * 48


@pytest.mark.parametrize("name", ["predict", "train"])
def test_the_outputs_are_stored_without_an_error(name):
    outputs = [output for cell in cells_of(name) for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any(output["output_type"] == "stream" for output in outputs)
    assert all(cell["execution_count"] for cell in cells_of(name))
