"""The comparison of runs."""

import json

import pytest
import yaml
from run_logs import is_picture, log_of

import visualizer
from files.errors import UserError


def write_run(folder, mious, **config):
    folder.mkdir()
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
