"""Two folds of a small data set, trained, stopped, resumed and scored as a user does it."""

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
from conftest import COLORS, SmallData
from tiny_run import ROOT, TIME_LIMIT, in_this_process

import cross_validate
from files.errors import UserError
from files.opencv import cv2
from training import child_program
from training.loop import Updater

TABLE = np.array(list(COLORS.values()), np.uint8)


def options(data, *more: str) -> list[str]:
    return ["--config", str(data.config_path), "--folds", "2", *more]


def run(data, *more: str) -> int:
    with mock.patch("cross_validate.run_child", in_this_process):
        return cross_validate.main(options(data, *more))


def stop_in_update(number: int):
    """Send SIGTERM in an iteration; train.py then ends in order."""
    update, calls = Updater.update_core, itertools.count(1)

    def update_core(self):
        update(self)
        if next(calls) == number:
            signal.raise_signal(signal.SIGTERM)

    return mock.patch.object(Updater, "update_core", update_core)


def results(data) -> dict[str, bytes]:
    """Bytes of the models of all folds, and of the figures."""
    out = data.folder / "result"
    paths = [*out.glob("fold*/model/*"), out / "cross_validation.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def figures_of(data) -> dict:
    return json.loads((data.folder / "result" / "cross_validation.json").read_text())


def classes(path) -> np.ndarray:
    colors = cv2.imread(str(path))[..., ::-1]
    return (colors[:, :, None] == TABLE).all(axis=3).argmax(axis=2)


def small_set(folder) -> SmallData:
    data = SmallData(folder / "set", train=5, val=2, test=2, size=(32, 48))
    data.write_config(training_params={"epochs": 2, "snapshot_epochs": 1})
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A cross-validation that was stopped by SIGTERM in its second fold, and went on."""
    data = small_set(tmp_path_factory.mktemp("cross"))
    # Of 7 images, a fold trains on 2 or 3: one or two iterations an epoch.
    with stop_in_update(4), captured() as (_, stopped):
        data.stopped_code = run(data)
    with captured() as (output, _):
        assert run(data, "--resume") == 0
    data.stopped, data.output = stopped.getvalue(), output.getvalue()
    return data


@contextlib.contextmanager
def captured():
    with (
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        yield output, errors


def test_sigterm_ends_the_fold_in_order_and_says_how_to_go_on(data):
    assert data.stopped_code == 143
    assert "ended in fold 2 of 2; to go on: " in data.stopped
    assert data.stopped.rstrip().endswith("--folds 2 --resume")


def test_a_finished_fold_is_not_trained_again(data):
    first, second = data.output.split("fold 2 of 2")
    assert "this run has finished already" in first
    assert "resumed from" in second


def test_a_finished_fold_goes_on_without_being_asked_to(data):
    trained = []

    def run_child(program: str, words: list[str], is_shown) -> int:
        trained.append((program, words[-1]))
        return 0

    with mock.patch("cross_validate.run_child", run_child):
        assert cross_validate.main(options(data)) == 0
    assert [last for program, last in trained if program == "train.py"] == [
        "--resume",
        "--resume",
    ]


def test_out_of_fold_confusion_is_the_count_over_all_images(data):
    """The same, counted from the pictures: of each fold, the images it scored."""
    figures = figures_of(data)
    counts = np.zeros((3, 3), int)
    for i, fold in enumerate(figures["folds"], 1):
        folder = data.folder / "result" / f"fold{i}" / "predict"
        for path in folder.glob("*_color.png"):
            truth = classes(data.images / path.name.replace("_color", "_L"))
            np.add.at(counts, (truth, classes(path)), 1)
    # image_scale is 1, so that the network works at the photos' size.
    assert figures["out_of_fold"]["confusion"] == counts.tolist()
    assert len(figures["images"]) == 7
    assert sorted(i["name"] for i in figures["images"]) == [
        *(f"train_{i}.png" for i in range(5)),
        *(f"val_{i}.png" for i in range(2)),
    ]


def test_mean_and_deviation_are_those_of_the_folds(data):
    figures = figures_of(data)
    for key in ("pixel_accuracy", "mean_iou", "mean_dice"):
        values = [
            json.loads(
                (data.folder / f"result/fold{i}/predict/scores.json").read_text()
            )[key]
            for i in (1, 2)
        ]
        found = figures["over_folds"][key]
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["deviation"] == pytest.approx(np.std(values, ddof=1))


def test_worst_images_come_first_and_the_page_needs_nothing_else(data):
    accuracies = [image["pixel_accuracy"] for image in figures_of(data)["images"]]
    assert accuracies == sorted(accuracies)
    page = (data.folder / "result" / "cross_validation.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "7 images in 2 folds" in page
    assert 'href="fold2/report.html"' in page


def test_stopped_and_resumed_gives_the_same_bytes(data, tmp_path):
    other = small_set(tmp_path)
    assert run(other) == 0
    assert results(other) == results(data)


def test_another_configuration_needs_overwrite(data):
    with pytest.raises(UserError, match=r"seed \(0 there, 3 here\).*--overwrite"):
        run(data, "--set", "seed=3")


def test_without_folds_their_number_is_asked_for(small_data):
    with pytest.raises(UserError, match=r"no folds in .*config_lists.*--folds 5"):
        cross_validate.main(["--config", str(small_data.config_path)])


def test_folds_beside_the_configuration_are_not_ignored(small_data):
    for number, (seen, scored) in enumerate(((0, 1), (1, 0)), 1):
        folder = small_data.folder / "config_lists" / f"fold{number}"
        folder.mkdir(parents=True)
        for part, i in (("train", seen), ("val", seen), ("test", scored)):
            (folder / f"{part}.txt").write_text(f"train_{i}.png\n")
    with pytest.raises(UserError, match="holds 2 folds already; leave the option out"):
        cross_validate.main(options(small_data))


def test_overwrite_removes_the_results_of_all_folds(small_data, monkeypatch):
    model = small_data.folder / "result" / "fold7" / "model" / "fcn_final.npz"
    own = model.with_name("notes.txt")
    model.parent.mkdir(parents=True)
    model.write_bytes(b"old")
    own.write_text("mine")
    monkeypatch.setattr(cross_validate, "run_child", lambda *_, **__: 5)
    assert cross_validate.main(options(small_data, "--overwrite")) == 5
    assert not model.exists()
    assert own.read_text() == "mine"


def test_overwrite_leaves_what_only_looks_like_a_fold(small_data, monkeypatch):
    result = small_data.folder / "result"
    own = [
        result / "folded" / "model" / "fcn_final.npz",
        result / "fold_a" / "log",
        result / "lists" / "fold1" / "notes.txt",
        result / "lists" / "folders" / "test.txt",
    ]
    for path in own:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    monkeypatch.setattr(cross_validate, "run_child", lambda *_, **__: 5)
    assert cross_validate.main(options(small_data, "--overwrite")) == 5
    assert [path.read_text() for path in own] == ["mine"] * 4
    assert not list(result.glob("fold[!1-9]*/.lock"))


@pytest.mark.parametrize("damage", ["{}", "[", None, '"confusion": [[1]]'])
def test_damaged_scores_of_a_fold_are_a_sentence(data, tmp_path, damage):
    place = tmp_path / "predict" / "scores.json"
    place.parent.mkdir()
    stored = data.folder / "result" / "fold1" / "predict" / "scores.json"
    scores = json.loads(stored.read_text())
    assert cross_validate.read_scores(stored.parents[1])["images"] == scores["images"]
    if damage and "confusion" in damage:
        damage = json.dumps({**scores, "confusion": [[1]]})
    if damage:
        place.write_text(damage)
    with pytest.raises(UserError, match=r"scores.json(: not the scores| is missing)"):
        cross_validate.read_scores(tmp_path)


CHILD = """
import pathlib, signal, sys
signal.signal(signal.{signal}, lambda *_: (pathlib.Path(sys.argv[2]).touch(), sys.exit(int(sys.argv[1]))))
print("hidden")
print("shown", flush=True)
while True: signal.pause()
"""
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


def write_child(folder, monkeypatch, text: str) -> None:
    monkeypatch.setattr(child_program, "_PROJECT", folder)
    (folder / "child.py").write_text(text)


@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal_is_passed_on_to_the_child(tmp_path, monkeypatch, capsys, name):
    write_child(tmp_path, monkeypatch, CHILD.format(signal=name))

    def is_shown(line: str) -> bool:
        if line == "shown\n":  # the child is ready
            os.kill(os.getpid(), getattr(signal, name))
        return line.startswith("shown")

    arguments = ["77", str(tmp_path / "ended")]
    # Under nohup the tests themselves ignore SIGHUP, and would wait for the child for ever.
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        assert child_program.run_child("child.py", arguments, is_shown) == 77
    finally:
        signal.signal(getattr(signal, name), before)
    assert capsys.readouterr().out == "shown\n"


@posix_only
def test_child_of_a_killed_parent_is_asked_to_end(tmp_path):
    (tmp_path / "child.py").write_text(CHILD.format(signal="SIGTERM"))
    ended = tmp_path / "ended"
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            (
                "from training import child_program; from pathlib import Path; import sys\n"
                "child_program._PROJECT = Path(sys.argv[1])\n"
                "child_program.run_child('child.py', ['0', sys.argv[2]], lambda line: True)"
            ),
            *(str(tmp_path), str(ended)),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    while parent.stdout.readline() != b"shown\n":
        assert parent.poll() is None
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + TIME_LIMIT
    while not ended.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended.exists()


def test_a_child_that_a_signal_killed_counts_as_in_a_shell(tmp_path, monkeypatch):
    write_child(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    assert child_program.run_child("child.py", [], lambda line: True) == 137


@pytest.mark.parametrize(
    ("line", "is_printed"),
    [
        ("    epoch      loss  accuracy  mean IoU", True),
        ("   1/60      3.5060     28.8%      7.1%", True),
        ("warning: for 10 epochs validation has not once predicted Car", True),
        ("resumed from result/fold1/snapshot_iteration_00000004.npz", True),
        ("class weights in the loss:", False),
        ("training finished after 60 epochs; best epoch 58:", False),
        ("score it on the test images: python predict.py --config my.yaml", False),
    ],
)
def test_of_a_fold_one_sees_the_table_of_epochs_and_warnings(line, is_printed):
    assert bool(cross_validate._PRINTED.match(line)) == is_printed
