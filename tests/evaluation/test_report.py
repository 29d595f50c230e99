"""The report shows what lies in the output folder, and nothing else."""

import json
import re

import numpy as np
import pytest
from run_logs import log_of

from dataset.label_table import LabelTable
from evaluation.calibration import BINS
from evaluation.report import write_report
from evaluation.scoring import ScoredImage, Scores
from files.digest import file_digest
from files.png_writer import write_png

TABLE = LabelTable("table", ("Sky", "<b>Road</b>", "Car"), np.eye(3, dtype=np.uint8))


@pytest.fixture
def run_folder(tmp_path):
    """An output folder after training."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "fcn_best.npz").write_bytes(b"weights")
    (folder / "log").write_text(json.dumps(log_of([0.1, 0.4321])))
    (folder / "config.yaml").write_text("seed: 12345\n")
    write_png(str(folder / "curves.png"), np.zeros((4, 4, 3), np.uint8))
    return folder


def write_scores(folder) -> dict:
    scores = Scores(TABLE)
    confusion = np.array([[70, 3, 0], [10, 17, 0], [0, 0, 0]])
    nothing = np.zeros((1, 1)), np.zeros((2, 3, BINS))
    scores.add(ScoredImage(0, "a.png", confusion, confusion, *nothing))
    figures = {
        "model": "model/fcn_best.npz",
        "model_sha256": file_digest(str(folder / "model" / "fcn_best.npz")),
        "time": "2026-01-01 00:00",
        **scores.as_dict(),
    }
    (folder / "predict").mkdir()
    (folder / "predict" / "scores.json").write_text(json.dumps(figures))
    for name in ("confusion", "best", "worst"):
        write_png(str(folder / "predict" / f"{name}.png"), np.zeros((4, 4), np.uint8))
    return figures


def report_of(folder) -> str:
    with open(write_report(str(folder)), encoding="utf-8") as file:
        return file.read()


def test_before_scoring_it_shows_the_training(run_folder):
    text = report_of(run_folder)
    assert "43.2 %" in text
    assert "seed: 12345" in text
    assert text.count("data:image/png;base64,") == 1
    assert "has not been scored yet. <code>python predict.py</code>" in text


def test_after_scoring_it_shows_the_numbers_of_scores_json(run_folder):
    scores = write_scores(run_folder)
    text = report_of(run_folder)
    assert scores["pixel_accuracy"] == 0.87
    assert "87.0 %" in text
    assert f"{100 * scores['mean_iou']:.1f} %" in text
    for entry in scores["classes"][:2]:
        for key in ("iou", "dice", "recall", "precision"):
            assert f"<td>{100 * entry[key]:.1f} %</td>" in text
    assert "left out of the mean: Car" in text
    assert text.count("data:image/png;base64,") == 4


def test_scores_of_weights_trained_over_since_are_left_out(run_folder):
    write_scores(run_folder)
    (run_folder / "model" / "fcn_best.npz").write_bytes(b"new weights")
    text = report_of(run_folder)
    assert "87.0 %" not in text
    assert "trained again since" in text


def test_it_needs_nothing_from_elsewhere(run_folder):
    write_scores(run_folder)
    text = report_of(run_folder)
    assert not re.search(r"https?:|<script|<link|@import", text)
    assert set(re.findall(r'src="(\w+):', text)) == {"data"}


def test_names_of_classes_are_text_not_markup(run_folder):
    write_scores(run_folder)
    text = report_of(run_folder)
    assert "&lt;b&gt;Road&lt;/b&gt;" in text
    assert "<b>Road</b>" not in text


def test_it_tells_when_where_and_on_what_the_run_was_started(run_folder):
    record = {
        "date": "2026-01-02 03:04",
        "command": "python train.py --config a&b.yaml",
        "versions": {"Chainer": "7.8.1", "NumPy": "2.0"},
        "machine": "Linux, 2 cores",
        "data": {"training": "5 images, 0123456789abcdef"},
    }
    (run_folder / "run.json").write_text(json.dumps(record))
    text = report_of(run_folder)
    for shown in (
        *("2026-01-02 03:04", "a&amp;b.yaml", "Chainer 7.8.1, NumPy 2.0<"),
        *(
            "Linux, 2 cores",
            "<td>training data</td><td>5 images, 0123456789abcdef</td>",
        ),
    ):
        assert shown in text
    (run_folder / "run.json").write_text("{}")
    assert "training data" not in report_of(run_folder)


def test_scores_on_images_that_chose_the_model_are_marked(run_folder):
    figures = write_scores(run_folder)
    assert "in the validation list" not in report_of(run_folder)
    path = run_folder / "predict" / "scores.json"
    path.write_text(json.dumps({**figures, "chosen_on": 7}))
    assert "7 of these images are in the validation list" in report_of(run_folder)
