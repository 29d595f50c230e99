"""The pictures that a training leaves, whatever its length."""

import json
import re
from types import SimpleNamespace

import pytest
from screens import Shown, train_in_terminal
from tiny_run import TinyRun

import train
from files.opencv import cv2
from training import progress
from training.progress import Curves


def pictures_of(data, **params) -> list[str]:
    data.write_config(training_params=params)
    train.main(["--config", str(data.config_path)])
    return sorted(p.name for p in (data.folder / "result" / "progress").iterdir())


def test_validation_images_are_drawn_at_the_start_every_few_epochs_and_at_the_end(
    small_data,
):
    names = pictures_of(small_data, epochs=3, snapshot_epochs=2)
    assert names == ["epoch_0000.png", "epoch_0002.png", "epoch_0003.png"]
    for name in names:
        path = small_data.folder / "result" / "progress" / name
        assert cv2.imread(str(path)).std() > 0


def test_curves_and_report_are_there_after_training(small_data):
    pictures_of(small_data, epochs=1)
    result = small_data.folder / "result"
    assert cv2.imread(str(result / "curves.png")).std() > 0
    # The curves and the last progress picture.
    assert (result / "report.html").read_text().count("data:image/png;base64,") == 2


def test_log_has_the_learning_rate(small_data):
    pictures_of(small_data, epochs=1, learning_rate=0.002)
    log = (small_data.folder / "result" / "log").read_text()
    assert '"lr": 0.002' in log


def test_log_has_the_mean_dice_beside_the_mean_iou(small_data):
    pictures_of(small_data, epochs=1)
    (entry,) = json.loads((small_data.folder / "result" / "log").read_text())
    for set_ in ("main", "validation/main"):
        # Of one class, Dice is 2 IoU / (1 + IoU), a concave function: so is the bound of the means.
        iou = entry[f"{set_}/miou"]
        assert iou < entry[f"{set_}/dice"] <= 2 * iou / (1 + iou)


def test_log_has_iou_and_dice_of_each_class_of_validation(small_data):
    """Their means over the classes that occur are the means of the same entry."""
    pictures_of(small_data, epochs=1)
    (entry,) = json.loads((small_data.folder / "result" / "log").read_text())
    ious = entry["validation/main/iou_by_class"]
    dices = entry["validation/main/dice_by_class"]
    assert len(ious) == len(dices) == 3
    for iou, dice in zip(ious, dices, strict=True):
        assert (iou is None) == (dice is None)
        assert iou is None or dice == pytest.approx(2 * iou / (1 + iou), abs=2e-4)
    for values, mean in ((ious, "miou"), (dices, "dice")):
        occurring = [value for value in values if value is not None]
        found = sum(occurring) / len(occurring)
        assert found == pytest.approx(entry[f"validation/main/{mean}"], abs=1e-4)


def test_drawing_does_not_change_the_training(small_data, monkeypatch):
    weights = small_data.folder / "result" / "model" / "fcn_final.npz"
    pictures_of(small_data, epochs=2)
    with_pictures = weights.read_bytes()
    weights.unlink()
    monkeypatch.setattr(progress.ProgressPictures, "__call__", lambda *_: None)
    monkeypatch.setattr(progress.Curves, "__call__", lambda *_: None)
    pictures_of(small_data, epochs=2)
    assert weights.read_bytes() == with_pictures


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


@pytest.mark.parametrize(
    ("columns", "cells"), [(40, 4), (60, 6), (80, 8), (200, 8)], ids=str
)
def test_table_of_epochs_and_bar_take_one_line_each(small_data, columns, cells):
    shown = train_in_terminal(TinyRun(small_data), columns)
    rows = [line.split() for line in shown.lines if re.match(r" +\d/4 ", line)]
    assert [row[0] for row in rows] == ["1/4", "2/4", "3/4", "4/4"]
    assert {len(row) for row in rows} == {cells}
    # While the second epoch runs: the bar stands on one line, below the row of the first.
    place = shown.text.index("left", shown.text.index("epoch 2/4"))
    *_, row, bar = Shown(shown.text[: place + len("left")], columns).lines
    assert row.split() == rows[0]
    assert re.fullmatch(r"epoch 2/4 .*% .*:\d\d left", bar)
    assert not any("left" in line for line in shown.lines)
    assert not shown.colors


def test_on_a_terminal_that_cannot_redraw_there_is_no_bar(small_data):
    shown = train_in_terminal(TinyRun(small_data), 80, TERM="dumb")
    assert "left" not in shown.text
    assert not re.search(r"\r(?!\n)|\x1b", shown.text)


def test_in_a_file_there_is_the_whole_table_and_no_bar(small_data, capfd):
    assert TinyRun(small_data).here() == 0
    output, errors = capfd.readouterr()
    assert re.search(r"\n +4/4( +[\d.]+%?){7}\n", output)
    assert "\r" not in output and not errors


def test_a_loss_that_has_exploded_is_told_once(capsys):
    for loss, warnings in ((999, 0), (3e12, 1)):
        trainer = SimpleNamespace(
            updater=SimpleNamespace(epoch=1),
            get_extension=lambda name, loss=loss: SimpleNamespace(
                log=[{"main/loss": loss}]
            ),
        )
        table = progress.EpochTable(epochs=2)
        table(trainer)
        table(trainer)
        output = capsys.readouterr().out
        assert output.count("lower training_params.learning_rate") == warnings
        assert output.count("the loss is 3e+12") == warnings
        rows = [line for line in output.splitlines() if "1/2" in line]
        assert {len(row) for row in rows} == {79}
