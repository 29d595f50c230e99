"""Compares training runs: python visualizer.py result/a result/b"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import os

import chainer_compat

from evaluation.figures import curve_axes, percentages, save_figure, show_name
from evaluation.run_log import best_entry, read_config, read_log, series
from files.errors import UserError, run_program
from files.text_table import align


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
    figure, loss_axes, iou_axes, rate_axes = curve_axes()
    for number, (folder, log) in enumerate(zip(folders, logs, strict=True)):
        epochs, best = series(log, "epoch"), best_entry(log)
        color = f"C{number % 10}"
        validation = percentages(log, "validation/main/miou")
        loss_axes.plot(epochs, series(log, "main/loss"), color=color, linestyle=":")
        loss_axes.plot(epochs, series(log, "validation/main/loss"), color=color)
        iou_axes.plot(epochs, percentages(log, "main/miou"), color=color, linestyle=":")
        label = f"{folder} (best {validation[best]:.1f} %, epoch {epochs[best]:.0f})"
        iou_axes.plot(epochs, validation, color=color, label=label)
        iou_axes.plot(epochs[best], validation[best], "*", color=color, markersize=11)
        rate_axes.plot(epochs, series(log, "lr"), color=color)
    rate_axes.set(ylim=(0, None), xlim=iou_axes.get_xlim())
    for text in iou_axes.legend(fontsize=8).get_texts():
        show_name(text)
    loss_axes.plot([], [], color="#555555", label="validation")
    loss_axes.plot([], [], color="#555555", linestyle=":", label="training")
    loss_axes.legend()
    save_figure(figure, path)
    return f"{_best_and_final(folders, logs)}\n\n{_differences(folders, configs)}"


def _best_and_final(folders: list[str], logs: list[list[dict]]) -> str:
    """Validation figures of each run, in its best and in its last epoch."""
    rows = [["validation", "epoch", "mean IoU", "accuracy", "loss", "s an epoch"]]
    for folder, log in zip(folders, logs, strict=True):
        seconds = series(log, "elapsed_time")[-1] / max(len(log), 1)
        for what, index in (("best", best_entry(log)), ("final", len(log) - 1)):
            miou, accuracy, loss = (
                series(log, f"validation/main/{key}")[index]
                for key in ("miou", "accuracy", "loss")
            )
            epoch = f"{series(log, 'epoch')[index]:.0f}"
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
