"""Draws the figures of training and scoring; as a program, it compares runs:

python visualizer.py result/a result/b
"""

import argparse
import os
import warnings

import chainer_compat

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from dataset.label_table import LabelTable
from evaluation.drawing import font_path
from evaluation.run_log import best_entry, figures, read_config, read_log
from files.errors import UserError, run_program
from files.text_table import align
from files.whole_file import whole_file

_TRAINING, _VALIDATION, _BEST = "#1f77b4", "#d95f02", "#2a7f3f"
_FEW = 30  # up to so many epochs have a dot each; of more, a line says more


def draw_curves(log: list[dict], path: str) -> None:
    """Draw loss, mean IoU and learning rate over the epochs.

    Args:
        log: the entries of Chainer's LogReport.
        path: the picture to write (PNG).
    """
    figure, loss_axes, iou_axes, rate_axes = _curve_axes()
    epochs = figures(log, "epoch")
    style = {"marker": "."} if len(log) <= _FEW else {}
    for prefix, label, color in (
        ("main", "training", _TRAINING),
        ("validation/main", "validation", _VALIDATION),
    ):
        line = {"label": label, "color": color, **style}
        loss_axes.plot(epochs, figures(log, f"{prefix}/loss"), **line)
        iou_axes.plot(epochs, _percent(log, f"{prefix}/miou"), **line)
    best = best_entry(log)
    value = _percent(log, "validation/main/miou")[best]
    for axes in (loss_axes, iou_axes):
        axes.axvline(epochs[best], color=_BEST, linestyle="--", linewidth=1)
    label = f"best: {value:.1f} % in epoch {epochs[best]:.0f}"
    iou_axes.plot(epochs[best], value, "*", color=_BEST, markersize=13, label=label)
    rate_axes.plot(epochs, figures(log, "lr"), color="#555555", **style)
    rate_axes.set(ylim=(0, None), xlim=iou_axes.get_xlim())
    loss_axes.legend()
    iou_axes.legend()
    save_figure(figure, path)


def _curve_axes() -> tuple[Figure, Axes, Axes, Axes]:
    figure = Figure(figsize=(11, 5.6))
    # Fixed margins: a constrained layout takes twice the time of all the rest.
    grid = figure.add_gridspec(
        2,
        2,
        height_ratios=[4, 1],
        left=0.07,
        right=0.98,
        top=0.94,
        bottom=0.09,
        hspace=0.42,
        wspace=0.17,
    )
    loss_axes, iou_axes = (figure.add_subplot(grid[0, i]) for i in (0, 1))
    rate_axes = figure.add_subplot(grid[1, :])
    loss_axes.set(ylabel="loss", title="Loss (validation: cross entropy alone)")
    iou_axes.set(ylabel="mean IoU (%)", title="Mean IoU")
    rate_axes.set(ylabel="Adam's alpha", title="Learning rate")
    for axes in (loss_axes, iou_axes, rate_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.grid(alpha=0.3)
    rate_axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    rate_axes.ticklabel_format(axis="y", scilimits=(-2, 3))
    return figure, loss_axes, iou_axes, rate_axes


def _percent(log: list[dict], key: str) -> list[float]:
    return [100 * value for value in figures(log, key)]


def draw_confusion(confusion: np.ndarray, table: LabelTable, path: str) -> None:
    """Draw a confusion matrix, of each true class the shares of the predicted ones.

    Classes absent from the truth are left out; what was predicted as one of them is in a last
    column, so that each row adds up to 100 %.

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
        _show_name(label)
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
    """What a confusion matrix looks like without the classes absent from the truth.

    Returns:
        tuple: numbers of the n classes that occur in the truth; float64 (n, n + 1), of each
        one's pixels the % predicted as each one, and in the last column as any other class.
    """
    pixels = confusion.sum(axis=1)
    present = np.flatnonzero(pixels)
    shares = 100 * confusion[present] / pixels[present, None]
    others = np.delete(shares, present, axis=1).sum(axis=1)
    return present, np.column_stack([shares[:, present], others])


def _show_name(label) -> None:
    """Show a class name as it stands, in a font that has its characters."""
    label.set_parse_math(False)
    label.set_fontproperties(FontProperties(fname=font_path(label.get_text()), size=9))


def compare_runs(folders: list[str], path: str) -> str:
    """Draw the curves of several runs into one picture, and describe how they differ.

    Args:
        folders: output folders of trainings.
        path: the picture to write (PNG).

    Returns:
        str: a table of best and final figures, and one of the config keys that differ.

    Raises:
        UserError: a folder holds no run.
    """
    logs = [read_log(folder) for folder in folders]
    configs = [read_config(folder) for folder in folders]
    figure, loss_axes, iou_axes, rate_axes = _curve_axes()
    for number, (folder, log) in enumerate(zip(folders, logs, strict=True)):
        epochs, best = figures(log, "epoch"), best_entry(log)
        color = f"C{number % 10}"
        validation = _percent(log, "validation/main/miou")
        loss_axes.plot(epochs, figures(log, "main/loss"), color=color, linestyle=":")
        loss_axes.plot(epochs, figures(log, "validation/main/loss"), color=color)
        iou_axes.plot(epochs, _percent(log, "main/miou"), color=color, linestyle=":")
        label = f"{folder} (best {validation[best]:.1f} %, epoch {epochs[best]:.0f})"
        iou_axes.plot(epochs, validation, color=color, label=label)
        iou_axes.plot(epochs[best], validation[best], "*", color=color, markersize=11)
        rate_axes.plot(epochs, figures(log, "lr"), color=color)
    rate_axes.set(ylim=(0, None), xlim=iou_axes.get_xlim())
    for text in iou_axes.legend(fontsize=8).get_texts():
        _show_name(text)
    loss_axes.plot([], [], color="#555555", label="validation")
    loss_axes.plot([], [], color="#555555", linestyle=":", label="training")
    loss_axes.legend()
    save_figure(figure, path)
    return f"{_best_and_final(folders, logs)}\n\n{_differences(folders, configs)}"


def _best_and_final(folders: list[str], logs: list[list[dict]]) -> str:
    """Validation figures of each run, in its best and in its last epoch."""
    rows = [["validation", "epoch", "mean IoU", "accuracy", "loss", "s an epoch"]]
    for folder, log in zip(folders, logs, strict=True):
        seconds = figures(log, "elapsed_time")[-1] / max(len(log), 1)
        for what, index in (("best", best_entry(log)), ("final", len(log) - 1)):
            miou, accuracy, loss = (
                figures(log, f"validation/main/{key}")[index]
                for key in ("miou", "accuracy", "loss")
            )
            epoch = f"{figures(log, 'epoch')[index]:.0f}"
            shares = f"{miou:.1%}", f"{accuracy:.1%}"
            rows.append(
                [f"{folder} {what}", epoch, *shares, f"{loss:.4f}", f"{seconds:.1f}"]
            )
    return align(rows)


def _differences(folders: list[str], configs: list[dict]) -> str:
    """The config keys in which runs differ, but for where they write to."""
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = []
    for key in keys:
        values = [str(config.get(key, "-")) for config in configs]
        if key.endswith(
            ("_path", "_pointer")
        ):  # these are relative to each run's folder
            values = [
                os.path.normpath(os.path.join(f, v))
                for f, v in zip(folders, values, strict=True)
            ]
        if key != "output_path" and len(set(values)) > 1:
            rows.append([key, *values])
    if not rows:
        return "the configurations do not differ"
    return align([["config key", *folders], *rows])


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as temporary, warnings.catch_warnings():
        # Names of classes that no installed font has are drawn as boxes; that is no news.
        warnings.filterwarnings("ignore", message="Glyph")
        FigureCanvasAgg(figure).print_png(temporary)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare training runs.")
    parser.add_argument("runs", nargs="+", metavar="FOLDER", help="an output_path")
    parser.add_argument(
        "--output",
        default="comparison.png",
        metavar="FILE",
        help="the picture to write; comparison.png if not given",
    )
    arguments = parser.parse_args(argv)
    if len(arguments.runs) < 2:
        raise UserError("name two runs or more, as in: visualizer.py result/a result/b")
    print(compare_runs(arguments.runs, arguments.output))
    print(f"\ncurves of all: {arguments.output}")


if __name__ == "__main__":
    run_program(main)
