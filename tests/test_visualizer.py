"""Curves, confusion matrix and the comparison of runs."""

import json
import math

import numpy as np
import pytest
import yaml

import visualizer
from dataset.label_table import LabelTable
from evaluation.run_log import best_entry
from files.errors import UserError
from files.opencv import cv2
from training import progress
from training.progress import Curves


def log_of(mious, **others) -> list[dict]:
    return [
        {
            "epoch": number,
            "main/loss": 1 / number,
            "main/miou": 0.5,
            "validation/main/loss": 2 / number,
            "validation/main/accuracy": 0.25 + number / 100,
            "validation/main/miou": miou,
            "elapsed_time": 3.0 * number,
            **others,
        }
        for number, miou in enumerate(mious, 1)
    ]


def write_run(folder, mious, **config):
    folder.mkdir()
    (folder / "log").write_text(json.dumps(log_of(mious, lr=0.001)))
    values = {"output_path": ".", "image_dir_path": "../images", **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return str(folder)


def is_picture(path) -> bool:
    picture = cv2.imread(str(path))
    return picture is not None and picture.std() > 0


def test_best_epoch_is_the_first_of_equals_and_never_nan():
    assert best_entry(log_of([0.1, 0.3, 0.3, math.nan])) == 1
    assert best_entry(log_of([math.nan])) == 0


@pytest.mark.parametrize("mious", [[0.5], [math.nan, math.nan], [0.1] * 40])
def test_curves_are_drawn_for_any_number_of_epochs(tmp_path, mious):
    path = tmp_path / "curves.png"
    visualizer.draw_curves(log_of(mious, lr=0.001), str(path))
    assert is_picture(path)


def test_curves_of_an_older_log_without_learning_rate_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    visualizer.draw_curves(log_of([0.1, 0.2]), str(path))
    assert is_picture(path)


def test_rows_of_the_confusion_add_up_to_a_hundred_percent():
    confusion = np.array([[6, 2, 0, 2], [0, 0, 0, 0], [5, 0, 5, 0], [0, 0, 0, 0]])
    present, shares = visualizer.confusion_shares(confusion)
    assert present.tolist() == [0, 2]
    # 2 + 2 of 10 pixels were taken for classes that are not there
    assert shares.tolist() == [[60, 0, 40], [50, 50, 0]]


@pytest.mark.parametrize(
    "names", [("$a$", "_b", "写真"), tuple("abcdefghijklmnop" * 2)]
)
def test_confusion_is_drawn_with_any_class_names(tmp_path, names):
    names = tuple(f"{name}{i}" for i, name in enumerate(names))
    table = LabelTable("table", names, np.zeros((len(names), 3), np.uint8))
    confusion = np.arange(len(names) ** 2).reshape(len(names), -1)
    path = tmp_path / "confusion.png"
    visualizer.draw_confusion(confusion, table, str(path))
    assert is_picture(path)


def test_comparison_names_best_and_final_epochs(tmp_path):
    runs = [
        write_run(tmp_path / "a", [0.1, 0.4, 0.2]),
        write_run(tmp_path / "b", [0.3]),
    ]
    text = visualizer.compare_runs(runs, str(tmp_path / "both.png"))
    rows = [line.split() for line in text.splitlines()]
    assert [runs[0], "best", "2", "40.0%", "27.0%", "1.0000", "3.0"] in rows
    assert [runs[0], "final", "3", "20.0%", "28.0%", "0.6667", "3.0"] in rows
    assert [runs[1], "final", "1", "30.0%", "26.0%", "2.0000", "3.0"] in rows
    assert is_picture(tmp_path / "both.png")


def test_comparison_lists_only_the_keys_that_differ(tmp_path):
    runs = [
        write_run(tmp_path / "a", [0.1], seed=1, training_params={"epochs": 3}),
        write_run(tmp_path / "b", [0.1], seed=1, training_params={"epochs": 4}),
    ]
    text = visualizer.compare_runs(runs, str(tmp_path / "both.png"))
    assert ["training_params.epochs", "3", "4"] in map(str.split, text.splitlines())
    assert "seed" not in text
    assert "_path" not in text


def test_a_folder_without_a_run_is_named(tmp_path):
    run = write_run(tmp_path / "a", [0.1])
    with pytest.raises(UserError, match="no training has left its log"):
        visualizer.main([run, str(tmp_path / "none")])
    with pytest.raises(UserError, match="two runs"):
        visualizer.main([run])


class TrainerInEpoch:
    """What the Curves extension asks of a trainer."""

    out = ""

    def get_extension(self, name):
        assert name == "LogReport"
        return self

    log = ()


def test_short_epochs_are_not_all_drawn_but_the_last_is(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 5.0, 6.0, 9.0])  # a drawing takes 1 s
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    drawn = []
    monkeypatch.setattr(progress, "draw_curves", lambda *a: drawn.append(a))
    curves = Curves()
    counts = []
    for _ in range(4):  # at 0, 3, 5 and 9 s
        curves(TrainerInEpoch())
        counts.append(len(drawn))
    curves.finalize()
    curves.finalize()
    assert counts == [1, 1, 2, 2]
    assert len(drawn) == 3
