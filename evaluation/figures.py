"""Draws curves and confusion matrices with matplotlib; training, predict.py and visualizer.py call it."""

import warnings

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from dataset.label_table import LabelTable
from evaluation.drawing import font_path
from evaluation.run_log import best_entry, series
from files.png_writer import write_png

_TRAINING, _VALIDATION, _BEST = "#1f77b4", "#d95f02", "#2a7f3f"
# A loss of more than so many times the median would take up the whole axis.
_EXPLODED = 30
_FEW = 30  # a dot marks each epoch of a curve that has no more than this


def draw_curves(log: list[dict], path: str) -> None:
    """Draw loss, mean IoU and learning rate over the epochs.

    Args:
        log: the entries of Chainer's LogReport.
        path: the picture to write (PNG).
    """
    figure, loss_axes, iou_axes, rate_axes = curve_axes()
    epochs = series(log, "epoch")
    style = {"marker": "."} if len(log) <= _FEW else {}
    for prefix, label, color in (
        ("main", "training", _TRAINING),
        ("validation/main", "validation", _VALIDATION),
    ):
        line = {"label": label, "color": color, **style}
        loss_axes.plot(epochs, series(log, f"{prefix}/loss"), **line)
        iou_axes.plot(epochs, percentages(log, f"{prefix}/miou"), **line)
    draw_cross_entropy(loss_axes, log, **style)
    best = best_entry(log)
    value = percentages(log, "validation/main/miou")[best]
    scale_losses(loss_axes)
    for axes in (loss_axes, iou_axes):
        axes.axvline(epochs[best], color=_BEST, linestyle="--", linewidth=1)
    label = f"best: {value:.1f} % in epoch {epochs[best]:.0f}"
    iou_axes.plot(epochs[best], value, "*", color=_BEST, markersize=13, label=label)
    rate_axes.plot(epochs, series(log, "lr"), color="#555555", **style)
    rate_axes.set(ylim=(0, None), xlim=iou_axes.get_xlim())
    loss_axes.legend()
    iou_axes.legend()
    save_figure(figure, path)


def draw_cross_entropy(axes: Axes, log: list[dict], **style) -> None:
    """Draw training's cross entropy, validation's loss, where its own loss has further terms."""
    values = np.array(series(log, "main/cross_entropy"), float)
    if np.isfinite(values).any() and (values != series(log, "main/loss")).any():
        label = "training, cross entropy alone"
        style |= {"color": _TRAINING, "linestyle": ":", "label": label}
        axes.plot(series(log, "epoch"), values, **style)


def curve_axes() -> tuple[Figure, Axes, Axes, Axes]:
    figure = Figure(figsize=(11, 5.6))
    # Fixed margins: computing them (layout="constrained") takes twice as long as drawing.
    margins = {"left": 0.07, "right": 0.98, "top": 0.94, "bottom": 0.09}
    gaps = {"hspace": 0.42, "wspace": 0.17}
    grid = figure.add_gridspec(2, 2, height_ratios=[4, 1], **margins, **gaps)
    loss_axes, iou_axes = (figure.add_subplot(grid[0, i]) for i in (0, 1))
    rate_axes = figure.add_subplot(grid[1, :])
    loss_axes.set(ylabel="loss", title="Loss")
    iou_axes.set(ylabel="mean IoU (%)", title="Mean IoU")
    rate_axes.set(title="Learning rate (Adam's alpha)")
    for axes in (loss_axes, iou_axes, rate_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.grid(alpha=0.3)
    rate_axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    rate_axes.yaxis.set_major_formatter("{x:g}")  # no 1e-3 apart, beside the title
    return figure, loss_axes, iou_axes, rate_axes


def scale_losses(axes: Axes) -> None:
    """Give drawn losses a logarithmic axis where one has exploded: else all others look like 0."""
    losses = np.concatenate([line.get_ydata() for line in axes.get_lines()]).astype(
        float
    )
    losses = losses[losses > 0]
    if losses.size and losses.max() > _EXPLODED * np.median(losses):
        axes.set_yscale("log")


def percentages(log: list[dict], key: str) -> list[float]:
    return [100 * value for value in series(log, key)]


def draw_confusion(confusion: np.ndarray, table: LabelTable, path: str) -> None:
    """Draw a confusion matrix in percent of each true class's pixels.

    Classes absent from the truth are left out. Pixels that were predicted as one of them are in
    a last column, so that each row adds up to 100 %.

    Args:
        confusion: int64 (n_class, n_class); row = truth, column = prediction.
        table: the names.
        path: the picture to write (PNG).
    """
    present, shares = confusion_shares(confusion)
    names = [table.names[i] for i in present]
    columns = [*names, "(other classes)"]
    if not shares[:, -1].any():
        shares, columns = shares[:, :-1], names
    height, width = shares.shape

    margin = 0.4 + 0.085 * min(40, max(map(len, columns), default=0))
    cell = 0.5 if height <= 12 else 0.36
    size = margin + 0.3 + max(width, 8) * cell, margin + 0.9 + max(height, 4) * cell
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="equal")
    digits = 1 if height <= 12 else 0
    for row, column in np.argwhere(np.round(shares, digits) > 0):
        share = shares[row, column]
        color = "white" if share > 55 else "black"
        text = f"{share:.{digits}f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(width), columns, rotation=90)
    axes.set_yticks(range(height), names)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        show_name(label)
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(
        "Confusion matrix: of each true class's pixels,\n"
        "the % that were predicted as each class"
    )
    save_figure(figure, path)


def confusion_shares(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares of a confusion matrix, without the classes absent from the truth.

    Returns:
        tuple: numbers of the n classes that occur in the truth; float64 (n, n + 1): row = true
        class, column = % of its pixels that were predicted as each of the n classes, the last
        column = as any other class.
    """
    pixels = confusion.sum(axis=1)
    present = np.flatnonzero(pixels)
    shares = 100 * confusion[present] / pixels[present, None]
    others = np.delete(shares, present, axis=1).sum(axis=1)
    return present, np.column_stack([shares[:, present], others])


def draw_reliability(calibration: dict, path: str) -> None:
    """Draw how many pixels are right of those of each probability (a reliability diagram).

    Args:
        calibration: as calibration.calibration_figures() gives it.
        path: the picture to write (PNG).
    """
    bins = [entry for entry in calibration["bins"] if entry["pixels"]]
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes, share_axes = figure.subplots(
        2, 1, sharex=True, height_ratios=[4, 1], squeeze=True
    )
    bar = {
        "x": [100 * entry["from"] for entry in bins],
        "width": [100 * (entry["to"] - entry["from"]) for entry in bins],
        "align": "edge",
        "edgecolor": "white",
    }
    right = [100 * entry["right"] for entry in bins]
    axes.bar(height=right, color=_TRAINING, label="right", **bar)
    axes.plot([0, 100], [0, 100], "--", color="#555555", label="as it should be")
    probability = [100 * entry["probability"] for entry in bins]
    axes.plot(probability, right, ".", color=_VALIDATION, label="mean probability")
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="% of these pixels that are right")
    axes.legend(loc="upper left")
    error = calibration["expected_calibration_error"]
    axes.set_title(
        f"Reliability: expected calibration error {100 * error:.1f} %,\n"
        f"temperature {calibration['temperature']:.3f}"
    )
    pixels = np.array([entry["pixels"] for entry in bins])
    share_axes.bar(height=100 * pixels / pixels.sum(), color="#888888", **bar)
    share_axes.set(ylabel="% of all pixels", xlabel="probability of the class taken, %")
    save_figure(figure, path)


def show_name(label) -> None:
    """Show a class name literally ($ is no formula), in a font that has its characters."""
    label.set_parse_math(False)
    label.set_fontproperties(FontProperties(fname=font_path(label.get_text()), size=9))


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # Characters that no installed font has are drawn as boxes, which needs no warning.
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.draw()
    write_png(path, np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))
