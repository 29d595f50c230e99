"""The experiments of docs/chapter.md: their settings, runs, data and pictures."""

import json
import subprocess

import chainer_compat

import chainer
import numpy as np
import pytest

from benchmarks import experiment_data, experiments
from benchmarks.last_deconvolution import make_network
from config import load_config, read_config
from dataset.demo_data import make_demo_data
from files.errors import UserError
from files.opencv import cv2
from files.paths import PROJECT
from files.yaml_reader import flatten
from mini_batch_loader import DatasetPreProcessor

CONFIG = str(PROJECT / "config.yaml")


def options(variant: experiments.Variant) -> list[str]:
    """What stands behind --set, output_path aside."""
    words = variant.command("unused")
    return [w for i, w in enumerate(words) if words[i - 1] == "--set"][:-1]


@pytest.mark.parametrize("name", experiments.VARIANTS)
def test_each_experiment_changes_what_it_says_of_the_default_configuration(name):
    variant = experiments.VARIANTS[name]
    default = flatten(read_config(CONFIG).model_dump())
    changed = flatten(read_config(CONFIG, options(variant)).model_dump())
    expected = {"training_params.epochs"} | set(variant.settings)
    assert {key for key in default if default[key] != changed[key]} == expected


def log_of(miou: float, epochs: int = 2) -> list[dict]:
    figures = {"loss": 1.5, "accuracy": 0.75, "miou": miou}
    validation = {f"validation/main/{key}": value for key, value in figures.items()}
    return [
        {"epoch": e, "elapsed_time": 3.0 * e, **validation}
        for e in range(1, epochs + 1)
    ]


@pytest.fixture
def trainings(monkeypatch):
    """Stands for the training: leaves a log and a model, and notes the command."""
    commands = []

    def run(words, **_):
        commands.append(words)
        settings = dict(w.split("=", 1) for w in words if "=" in w)
        folder = experiments.Path(settings["output_path"])
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "fcn_final.npz").touch()
        log = log_of(0.5, int(settings["training_params.epochs"]))
        (folder / "log").write_text(json.dumps(log))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_run_is_made_once_and_again_if_it_had_not_finished(tmp_path, trainings):
    variant, folder = experiments.VARIANTS["LCN"], tmp_path / "LCN" / "seed_1"
    for _ in range(2):
        experiments.train(variant, 1, folder, 2)
    (words,) = trainings
    assert words[1:3] == ["train.py", "--config"]
    settings = {"normalizer=LCN", "seed=1", "training_params.epochs=2", "--resume"}
    assert settings <= set(words)
    (folder / "model" / "fcn_final.npz").unlink()
    (folder / "model").rmdir()
    experiments.train(variant, 1, folder, 2)
    assert len(trainings) == 2


def test_run_that_fails_gives_its_reason(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 2, "", "error: no memory")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match="train.py .*\n?error: no memory"):
        experiments.train(experiments.BASELINE, 0, tmp_path, 2)


def test_seed_0_of_all_comes_first_and_the_pictures_are_drawn(
    tmp_path, trainings, monkeypatch, capsys
):
    monkeypatch.setattr(experiments.experiment_data, "main", lambda _: None)
    words = ["--output", str(tmp_path / "runs"), "--draw", str(tmp_path / "drawn")]
    words += ["--seeds", "2", "--epochs", "3"]
    for name in ("baseline", "LCN", "none", "cells", "undilated"):
        words += ["--only", name]
    assert experiments.main(words) == 0
    seeds = [[w for w in words if w.startswith("seed=")] for words in trainings]
    assert seeds == [["seed=0"]] * 5 + [["seed=1"]] * 5
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0] == "| baseline | 2 | 1.50 (1.50 to 1.50) | " + (
        "75.0 (75.0 to 75.0) | 50.0 (50.0 to 50.0) | 3.0 |"
    )
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["cells.png", "dilated.png", "normalizer.png"]


def test_table_gives_mean_and_range_over_the_seeds():
    runs = {"some run": [log_of(0.25), log_of(0.75)], "other": [log_of(0.1)]}
    rows = experiments.table(runs).splitlines()[2:]
    assert "| 50.0 (25.0 to 75.0) | 3.0 |" in rows[0]
    assert rows[1] == "| other | 1 | 1.50 | 75.0 | 10.0 | 3.0 |"


def test_experiment_that_is_none_is_an_error_with_those_there_are():
    with pytest.raises(UserError, match="--only LNC: choose from baseline, "):
        experiments.main(["--output", "unused", "--only", "LNC"])


@pytest.mark.parametrize(("ksize", "stride"), [(4, 4), (14, 4), (16, 8), (16, 4)])
def test_network_with_another_last_deconvolution_scores_each_pixel(ksize, stride):
    network = make_network(ksize, stride)(5, 3)
    with chainer.no_backprop_mode(), chainer.using_config("user_multiple", 16):
        scores = network.scores(np.zeros((1, 3, 32, 48), np.float32))
    assert scores.shape == (1, 5, 32, 48)
    assert network.upsample_final.W.shape == (5, 5, ksize, ksize)
    assert network.upsample_final.stride == (stride, stride)


def test_masks_of_cars_are_where_the_demos_labels_say_car(tmp_path):
    splits = {"train": 1, "val": 1, "test": 1}
    make_demo_data(tmp_path / "demo", splits=splits)
    experiment_data.write_cars(tmp_path / "cars", tmp_path / "demo")
    pairs = options(experiments.VARIANTS["Car or not"])
    pairs = [pair.replace("=data", f"={tmp_path}") for pair in pairs]
    load_config(CONFIG, pairs)
    args = chainer.global_config.user_train_args
    assert args.n_class == 2
    _, label = DatasetPreProcessor(args).full_pair(0)
    colors = cv2.imread(str(tmp_path / "demo" / "images" / "demo_0000_L.png"))
    assert (label == np.all(colors == (128, 0, 64), axis=2)).all() and label.any()


def test_cells_are_bright_on_dark_and_the_same_each_time(tmp_path):
    splits = {"train": 2, "val": 1, "test": 1}
    for name in "ab":
        experiment_data.write_cells(tmp_path / name, splits)
    files = sorted(path.name for path in (tmp_path / "a" / "images").iterdir())
    assert len(files) == 8
    for name in files:
        first, second = (tmp_path / x / "images" / name for x in "ab")
        assert first.read_bytes() == second.read_bytes()
    pairs = options(experiments.VARIANTS["cells"])
    pairs = [pair.replace("=data/cells", f"={tmp_path}/a") for pair in pairs]
    load_config(CONFIG, pairs)
    args = chainer.global_config.user_train_args
    dataset = DatasetPreProcessor(args)
    assert len(dataset) == 2 and dataset[0][0].shape == (1, 128, 128)
    image, label = dataset.full_pair(0)
    assert set(np.unique(label)) == {0, 1}
    assert image[label == 1].mean() > image[label == 0].mean() + 30
