"""Compares training runs: python visualizer.py result/"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import os

import chainer_compat

from evaluation.comparison import (
    Run,
    as_csv,
    best_and_final,
    differences,
    group_folds,
    iou_by_class,
    over_seeds,
    read_runs,
)
from evaluation.figures import (
    curve_axes,
    percentages,
    save_figure,
    scale_losses,
    show_name,
)
from evaluation.run_log import series
from files.errors import UserError, run_program
from files.whole_file import write_text


def compare_runs(folders: list[str], path: str) -> str:
    """Draw the curves of several runs into one picture, and describe how they differ.

    Args:
        folders: output folders of trainings, or folders above them.
        path: the picture to write (PNG); the same with ``.csv`` is written, too.

    Returns:
        str: tables of best and final figures, of means over seeds, of the IoU by class, and of
        the config keys that differ. The folds of a cross-validation are one run there.

    Raises:
        UserError: a folder holds no run, or there is only one run in all; or the path ends in
            ``.csv``.
    """
    if csv_path(path) == path:
        raise UserError(
            f"--output: {path} would be both the picture and its figures; name the picture, as in "
            "comparison.png"
        )
    runs = read_runs(folders)
    if len(runs) < 2:
        raise UserError(
            "there is only one run to compare; name two runs or more, or a folder above them, "
            "as in: visualizer.py result/"
        )
    draw_runs(runs, path)
    write_text(csv_path(path), as_csv(runs))
    tables = best_and_final, over_seeds, iou_by_class, differences
    return "\n\n".join(filter(None, (table(runs) for table in tables)))


def csv_path(path: str) -> str:
    """Where the figures go, given where the picture goes."""
    return os.path.splitext(path)[0] + ".csv"


def draw_runs(runs: list[Run], path: str) -> None:
    """Draw the curves of several runs into one picture."""
    figure, loss_axes, iou_axes, rate_axes = curve_axes()
    for number, group in enumerate(group_folds(runs)):
        color = f"C{number % 10}"
        for run in group.runs:
            log, epochs = run.log, series(run.log, "epoch")
            validation = percentages(log, "validation/main/miou")
            loss_axes.plot(epochs, series(log, "main/loss"), color=color, linestyle=":")
            loss_axes.plot(epochs, series(log, "validation/main/loss"), color=color)
            iou_axes.plot(
                epochs, percentages(log, "main/miou"), color=color, linestyle=":"
            )
            best = epochs[run.best], validation[run.best]
            iou_axes.plot(epochs, validation, color=color)
            iou_axes.plot(*best, "*", color=color, markersize=11)
            rate_axes.plot(epochs, series(log, "lr"), color=color)
        label = f"{group.name} (best {group.best_miou()}"
        if len(group.runs) == 1:
            label += f", epoch {best[0]:.0f}"
        iou_axes.plot([], [], color=color, label=f"{label})")
    rate_axes.set(ylim=(0, None), xlim=iou_axes.get_xlim())
    for text in iou_axes.legend(fontsize=8).get_texts():
        show_name(text)
    scale_losses(loss_axes)
    loss_axes.plot([], [], color="#555555", label="validation")
    loss_axes.plot([], [], color="#555555", linestyle=":", label="training")
    loss_axes.legend()
    save_figure(figure, path)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare training runs.")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="FOLDER",
        help="an output_path, or a folder above several",
    )
    parser.add_argument(
        "--output",
        default="comparison.png",
        metavar="FILE",
        help="the picture to write; comparison.png if not given. The figures go beside it (.csv)",
    )
    arguments = parser.parse_args(argv)
    print(compare_runs(arguments.runs, arguments.output))
    print(f"\ncurves of all: {arguments.output}; figures: {csv_path(arguments.output)}")


if __name__ == "__main__":
    run_program(main)
