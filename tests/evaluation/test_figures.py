"""Curves and confusion matrices: what is drawn, and that any names and numbers can be."""

import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from run_logs import is_picture, log_of

from dataset.label_table import LabelTable
from evaluation import figures


@pytest.mark.parametrize("mious", [[0.5], [math.nan, math.nan], [0.1] * 40])
def test_curves_are_drawn_for_any_number_of_epochs(tmp_path, mious):
    path = tmp_path / "curves.png"
    figures.draw_curves(log_of(mious, lr=0.001), str(path))
    assert is_picture(path)


def test_each_curve_shows_what_its_label_says(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: drawn.append(figure)
    )
    figures.draw_curves(log_of([0.1, 0.3, 0.2], lr=0.001), "curves.png")
    loss, iou, rate = (
        {line.get_label(): line.get_ydata() for line in axes.get_lines()}
        for axes in drawn[0].axes
    )
    assert loss["training"] == pytest.approx([1, 1 / 2, 1 / 3])
    assert loss["validation"] == pytest.approx([2, 2 / 2, 2 / 3])
    assert iou["training"] == pytest.approx([50, 50, 50])
    assert iou["validation"] == pytest.approx([10, 30, 20])
    assert iou["best: 30.0 % in epoch 2"] == pytest.approx([30])
    assert [list(values) for values in rate.values()] == [[0.001] * 3]
    loss_axes, iou_axes, _ = drawn[0].axes
    for axes in (loss_axes, iou_axes):
        colors = {t.get_label(): t.get_color() for t in axes.get_legend().get_lines()}
        lines = {line.get_label(): line.get_color() for line in axes.get_lines()}
        assert colors == {label: lines[label] for label in colors}
        assert lines["training"] != lines["validation"]


@pytest.mark.parametrize("rest", [0, 0.25])
def test_cross_entropy_is_drawn_beside_a_training_loss_that_holds_more(
    monkeypatch, rest
):
    drawn = []
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: drawn.append(figure)
    )
    log = log_of([0.1, 0.2])
    for entry in log:
        entry["main/cross_entropy"] = entry["main/loss"] - rest
    figures.draw_curves(log, "curves.png")
    lines = {line.get_label(): line for line in drawn[0].axes[0].get_lines()}
    assert ("training, cross entropy alone" in lines) == (rest > 0)
    if rest:
        assert lines["training, cross entropy alone"].get_ydata() == pytest.approx(
            [0.75, 0.25]
        )


def test_curves_of_an_older_log_without_learning_rate_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    figures.draw_curves(log_of([0.1, 0.2]), str(path))
    assert is_picture(path)


def test_rows_of_the_confusion_add_up_to_a_hundred_percent():
    confusion = np.array([[6, 2, 0, 2], [0, 0, 0, 0], [5, 0, 5, 0], [0, 0, 0, 0]])
    present, shares = figures.confusion_shares(confusion)
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
    figures.draw_confusion(confusion, table, str(path))
    assert is_picture(path)


@pytest.mark.parametrize(
    ("losses", "scale"), [([3, 2, 1], "linear"), ([3, 3e12, 1], "log")]
)
def test_losses_are_drawn_on_a_logarithmic_axis_where_one_explodes(
    monkeypatch, losses, scale
):
    drawn = []
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: drawn.append(figure)
    )
    log = log_of([0.1, 0.3, 0.2], lr=0.001)
    for entry, loss in zip(log, losses, strict=True):
        entry["validation/main/loss"] = loss
    figures.draw_curves(log, "curves.png")
    assert drawn[0].axes[0].get_yscale() == scale


def test_no_text_beside_the_small_axis_of_the_learning_rate(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: drawn.append(figure)
    )
    figures.draw_curves(log_of([0.1, 0.3], lr=0.002), "curves.png")
    FigureCanvasAgg(drawn[0]).draw()
    axis = drawn[0].axes[2].yaxis
    assert not axis.get_label_text() and not axis.get_offset_text().get_text()
