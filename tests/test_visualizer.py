"""The comparison of runs."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from run_logs import is_picture, log_of

import visualizer
from files.digest import file_digest
from files.errors import UserError


def write_run(folder, mious, **config):
    folder.mkdir(parents=True)
    (folder / "log").write_text(json.dumps(log_of(mious, lr=0.001)))
    values = {"output_path": ".", "image_dir_path": "../images", **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return str(folder)


def test_comparison_names_best_and_final_epochs(tmp_path):
    runs = [
        write_run(tmp_path / "a", [0.1, 0.4, 0.2]),
        write_run(tmp_path / "b", [0.3]),
    ]
    text = visualizer.compare_runs(runs, str(tmp_path / "both.png"))
    rows = [line.split() for line in text.splitlines()]
    assert [
        runs[0],
        "best",
        "2",
        "40.0",
        "%",
        "27.0",
        "%",
        "1",
        "3.0",
        "-",
        "-",
    ] in rows
    assert [
        runs[0],
        "final",
        "3",
        "20.0",
        "%",
        "28.0",
        "%",
        "0.6667",
        "3.0",
        "-",
        "-",
    ] in rows
    assert [
        runs[1],
        "final",
        "1",
        "30.0",
        "%",
        "26.0",
        "%",
        "2",
        "3.0",
        "-",
        "-",
    ] in rows
    assert is_picture(tmp_path / "both.png")


def test_dotted_curves_are_those_of_training(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        visualizer, "save_figure", lambda figure, path: drawn.append(figure)
    )
    runs = [
        write_run(tmp_path / "a", [0.1, 0.4]),
        write_run(tmp_path / "b", [0.3, 0.2]),
    ]
    visualizer.compare_runs(runs, str(tmp_path / "both.png"))
    curves = [
        {
            style: [
                list(y) for line, y in lines if line.get_linestyle() == style and len(y)
            ]
            for style in (":", "-")
        }
        for lines in (
            [(line, line.get_ydata()) for line in axes.get_lines()]
            for axes in drawn[0].axes[:2]
        )
    ]
    loss, iou = curves
    assert loss == {
        ":": [[1, 1 / 2]] * 2,
        "-": [[2, 2 / 2]] * 2,
    }  # as log_of() has them
    assert iou[":"] == [[50, 50]] * 2
    assert [10, 40] in iou["-"] and [30, 20] in iou["-"]
    legend = drawn[0].axes[0].get_legend().get_lines()
    styles = {line.get_label(): line.get_linestyle() for line in legend}
    assert styles == {"validation": "-", "training": ":"}


def test_folds_of_a_cross_validation_are_one_run_with_mean_and_deviation(tmp_path):
    for number, best in ((1, 0.2), (2, 0.4)):
        write_run(
            tmp_path / f"cv/fold{number}", [0.1, best], test_image_pointer=f"{number}"
        )
    write_run(tmp_path / "alone", [0.35])
    text = visualizer.compare_runs([str(tmp_path)], str(tmp_path / "all.png"))
    # Means of 20 and 40 %; their sample deviation is 20 / sqrt(2).
    rows = [" ".join(line.split()) for line in text.splitlines()]
    group = f"{tmp_path}/cv (2 folds)"
    assert rows[1].startswith(f"{tmp_path}/alone best 1 35.0 %")
    assert any(row.startswith(f"{group} best 2 30.0 ± 14.1 %") for row in rows)
    assert "fold1" not in text
    assert "image_pointer" not in text
    with open(tmp_path / "all.csv") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_comparison_lists_only_the_keys_that_differ(tmp_path):
    runs = [
        write_run(tmp_path / "a", [0.1], seed=1, training_params={"epochs": 3}),
        write_run(tmp_path / "b", [0.1], seed=1, training_params={"epochs": 4}),
    ]
    text = visualizer.compare_runs(runs, str(tmp_path / "both.png"))
    assert ["training_params.epochs", "3", "4"] in map(str.split, text.splitlines())
    assert "seed" not in text
    assert "_path" not in text


def test_fold_without_figures_leaves_its_mean_open(tmp_path):
    folder = tmp_path / "cross"
    write_run(folder / "fold1", [float("nan")])
    write_run(folder / "fold2", [0.5])
    text = visualizer.compare_runs([str(folder)], str(tmp_path / "both.png"))
    best = next(line.split() for line in text.splitlines() if " best " in line)
    assert best[5:7] == ["-", "26.0"]  # mean IoU, accuracy


def test_key_that_writes_on_the_screen_is_spelt_out(tmp_path):
    write_run(tmp_path / "a", [0.1], **{"\x1b[2J": "\u202e"})
    write_run(tmp_path / "b", [0.1])
    text = visualizer.compare_runs([str(tmp_path)], str(tmp_path / "both.png"))
    assert "\x1b" not in text and "\u202e" not in text
    assert r"\x1b[2J" in text and r"\u202e" in text


def test_picture_and_figures_are_not_written_to_the_same_file(tmp_path):
    write_run(tmp_path / "a", [0.1])
    write_run(tmp_path / "b", [0.1])
    with pytest.raises(UserError, match="would be both the picture and its figures"):
        visualizer.compare_runs([str(tmp_path)], str(tmp_path / "both.csv"))
    assert not (tmp_path / "both.csv").exists()


def test_a_folder_without_a_run_is_named(tmp_path):
    run = write_run(tmp_path / "a", [0.1])
    with pytest.raises(UserError, match="no training has left its log"):
        visualizer.main([run, str(tmp_path / "none")])
    with pytest.raises(UserError, match="two runs"):
        visualizer.main([run])


def write_scores(folder, miou, **iou_of_class):
    """Scores of fcn_best.npz; the mean is given, classes without pixels are absent."""
    model = Path(folder) / "model" / "fcn_best.npz"
    model.parent.mkdir()
    model.write_bytes(b"weights")
    overall = {"pixel_accuracy": 0.9, "mean_iou": miou}
    figures = {
        "model": "model/fcn_best.npz",
        "model_sha256": file_digest(str(model)),
        "time": "2026-01-01 00:00",
        **overall,
        "at_photo_size": overall,
        "classes": [
            {
                "class": n,
                "name": name,
                "color": [0, 0, 0],
                "recall": 0.5,
                "precision": 0.5,
                "iou": iou,
                "pixels": int(iou is not None),
            }
            for n, (name, iou) in enumerate(iou_of_class.items())
        ],
        "ignored": [],
        "images": [],
    }
    (Path(folder) / "predict").mkdir()
    (Path(folder) / "predict" / "scores.json").write_text(json.dumps(figures))


def test_runs_below_a_folder_are_compared_best_first_with_their_test_scores(tmp_path):
    low = write_run(tmp_path / "result" / "a", [0.1], seed=1)
    high = write_run(
        tmp_path / "result" / "deep" / "b", [0.3], seed=2, image_dir_path="../../images"
    )
    write_run(tmp_path / "result" / "a" / "earlier", [0.9])
    write_scores(low, 0.25, Road=0.5, Car=None)
    write_scores(high, 0.35, Road=0.625, Car=0.125)
    picture = tmp_path / "all.png"
    lines = visualizer.compare_runs(
        [str(tmp_path / "result")], str(picture)
    ).splitlines()
    rows = [line.split() for line in lines]
    assert [row[0] for row in rows[1:5]] == [high, high, low, low]
    assert rows[1][-4:] == ["35.0", "%", "90.0", "%"]
    assert rows[2][-2:] == ["-", "-"]  # the last epoch's weights are not scored
    # 20 % and sqrt((10^2 + 10^2) / 1) of validation, 30 and sqrt(5^2 + 5^2) of test
    means = ["2", "20.0", "±", "14.1", "%", "30.0", "±", "7.1", "%"]
    assert [high, "...", *means] in rows
    assert ["Road", "62.5", "%", "50.0", "%"] in rows
    assert ["Car", "12.5", "%", "-"] in rows
    first, second, third = csv.reader((tmp_path / "all.csv").open())
    assert first[-2:] == ["IoU Road", "IoU Car"]
    assert (second[0], second[-2:]) == (high, ["0.625", "0.125"])
    assert (third[0], third[-2:]) == (low, ["0.5", ""])


def test_a_broken_run_below_a_folder_is_named_and_left_out(tmp_path, capsys):
    for name in ("a", "b", "broken"):
        write_run(tmp_path / name, [0.1])
    (tmp_path / "broken" / "log").write_text("[")
    visualizer.compare_runs([str(tmp_path)], str(tmp_path / "all.png"))
    assert f"left out: {tmp_path / 'broken' / 'log'}" in capsys.readouterr().err
