"""Runs the experiments of docs/chapter.md and draws their curves: python -m benchmarks.experiments --output FOLDER

Each is the default configuration for 12 epochs with something changed; a run that has finished is
not made again. The pictures, one for each figure of the page, are drawn with `--draw FOLDER`.
"""

import argparse
import io
import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from PIL import Image

from benchmarks import experiment_data
from benchmarks.ablation import run_script
from evaluation.figures import percentages
from evaluation.run_log import read_log, series
from files.errors import UserError, run_program
from files.paths import PROJECT
from files.progress_bar import progress_bar
from files.text_table import markdown
from files.whole_file import write_bytes, write_text

EPOCHS = 12
_LISTS = "train_image_pointer", "val_image_pointer", "test_image_pointer"
_BASELINE_COLOR, _COLORS = "#777777", ("#d95f02", "#1f77b4", "#2a7f3f")
_HIGHEST_LOSS = 1e4  # where the axis ends: a diverging run shall not squeeze the others


@dataclass(frozen=True)
class Variant:
    """What a run changes of the default configuration.

    Args:
        settings (dict): keys of the configuration and their values.
        program (str): what trains, with its own options.
    """

    settings: dict = field(default_factory=dict)
    program: str = "train.py"

    def command(self, output_path: str, epochs: int = EPOCHS) -> list[str]:
        """The words behind python: docs/chapter.md shows them."""
        settings = {"training_params.epochs": epochs, **self.settings}
        pairs = [f"{key}={json.dumps(v)}" for key, v in settings.items()]
        # No text here needs JSON's quotes.
        pairs = [
            *(pair.replace('"', "") for pair in pairs),
            f"output_path={output_path}",
        ]
        options = [word for pair in pairs for word in ("--set", pair)]
        return [*self.program.split(), "--config", "config.yaml", *options]


def _other_data(name: str, **settings) -> Variant:
    lists = {key: f"data/{name}/{key}" for key in (*_LISTS, "label_path")}
    lists["label_path"] = f"data/{name}/label_color"
    masks = {"label_values": "grey_levels", "ignore_labels": []}
    return Variant({**lists, **masks, **settings})


def _last_deconvolution(ksize: int, stride: int) -> Variant:
    options = f"--ksize {ksize} --stride {stride}"
    return Variant(program=f"-m benchmarks.last_deconvolution {options}")


BASELINE = Variant()
# {figure: {name of a run: what it changes}}
FIGURES = {
    "learning_rate": {
        "learning_rate 0.02": Variant({"training_params.learning_rate": 0.02}),
        "learning_rate 0.0002": Variant({"training_params.learning_rate": 0.0002}),
    },
    "normalizer": {
        "LCN": Variant({"normalizer": "LCN"}),
        "none": Variant({"normalizer": "none"}),
    },
    "weight_decay": {
        "weight_decay 0": Variant({"training_params.weight_decay": 0}),
        "weight_decay 0.01": Variant({"training_params.weight_decay": 0.01}),
    },
    "dilated": {"undilated": Variant({"dilated": False})},
    "batch_size": {
        "batch_size 1": Variant({"training_params.batch_size": 1}),
        "batch_size 20": Variant({"training_params.batch_size": 20}),
    },
    "augmentation": {
        "none at all": Variant({"augmentation_params.do_augment": False}),
        "upside down, too": Variant({"augmentation_params.flips": "both"}),
    },
    "image_scale": {"image_scale 0.125": Variant({"image_scale": 0.125})},
    "two_classes": {"Car or not": _other_data("cars", image_dir_path="data")},
    "grey": {"in_ch 1": Variant({"in_ch": 1})},
    "cells": {
        "cells": _other_data(
            "cells", image_dir_path="data/cells/images", in_ch=1, image_scale=0.5
        )
    },
    "last_deconvolution": {
        "kernel 4, stride 4": _last_deconvolution(4, 4),
        "kernel 14, stride 4": _last_deconvolution(14, 4),
        "kernel 16, stride 8": _last_deconvolution(16, 8),
    },
    "bypass": {"no bypass": Variant({"bypass": False})},
    "class_weights": {
        "class_weights 0": Variant({"training_params.class_weights": 0}),
        "class_weights 1": Variant({"training_params.class_weights": 1}),
    },
    "lovasz": {"lovasz 0": Variant({"training_params.lovasz": 0})},
}
# Runs on other images, whose curves cannot be compared with the demo's.
ALONE = {"cells"}
VARIANTS = {"baseline": BASELINE} | {
    name: variant for runs in FIGURES.values() for name, variant in runs.items()
}


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    only = arguments.only or list(VARIANTS)
    if unknown := [name for name in only if name not in VARIANTS]:
        raise UserError(f"--only {unknown[0]}: choose from {', '.join(VARIANTS)}")
    if not (
        PROJECT / "data" / "cells" / "label_color"
    ).is_file():  # the last to be made
        experiment_data.main([str(PROJECT / "data")])
    runs = [(name, seed) for seed in range(arguments.seeds) for name in only]
    output = Path(arguments.output).resolve()
    for name, seed in progress_bar(runs, len(runs), "run"):
        train(VARIANTS[name], seed, folder_of(output, name, seed), arguments.epochs)
    logs = read_logs(output, arguments.epochs)
    text = table(logs)
    write_text(output / "table.md", text + "\n")
    print(text)
    if arguments.draw:
        draw_all(logs, Path(arguments.draw))
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the experiments of docs/chapter.md, and draw their curves."
    )
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="where the runs go"
    )
    parser.add_argument(
        "--draw", metavar="FOLDER", help="draw the curves of all finished runs here"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each experiment")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--only", action="append", help="an experiment; repeatable")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1 or arguments.epochs < 1:
        raise UserError("--seeds and --epochs: at least 1")
    return arguments


def folder_of(output: Path, name: str, seed: int) -> Path:
    return output / re.sub(r"[^\w.]+", "_", name) / f"seed_{seed}"


def train(variant: Variant, seed: int, folder: Path, epochs: int) -> None:
    """Make a run, or the rest of one that was interrupted, unless it has finished.

    Raises:
        UserError: gives the output of a run that failed.
    """
    if finished_log(folder, epochs):
        return
    words = [*variant.command(str(folder), epochs), "--set", f"seed={seed}", "--resume"]
    run_script(words, PROJECT)


def finished_log(folder: Path, epochs: int) -> list[dict] | None:
    """The log of a run if it has finished."""
    if not (folder / "model" / "fcn_final.npz").is_file():
        return None
    log = read_log(str(folder))
    return log if len(log) >= epochs else None


def read_logs(output: Path, epochs: int) -> dict[str, list[list[dict]]]:
    """{name: the logs of its finished runs, one a seed}, of those that have any."""
    found = {}
    for name in VARIANTS:
        folders = sorted(folder_of(output, name, 0).parent.glob("seed_*"))
        logs = [log for folder in folders if (log := finished_log(folder, epochs))]
        if logs:
            found[name] = logs
    return found


def table(logs: dict[str, list[list[dict]]]) -> str:
    """The figures of the last epoch as Markdown: the mean over the seeds, and their range."""
    shares = "pixel accuracy, %", "mean IoU, %"
    rows = [["run", "seeds", "validation loss", *shares, "s an epoch"]]
    for name, runs in logs.items():
        figures = [
            [series(log, f"validation/main/{key}")[-1] * factor for log in runs]
            for key, factor in (("loss", 1), ("accuracy", 100), ("miou", 100))
        ]
        seconds = [series(log, "elapsed_time")[-1] / len(log) for log in runs]
        cells = [_mean_and_range(f, d) for f, d in zip(figures, (2, 1, 1), strict=True)]
        median = f"{statistics.median(seconds):.1f}"
        rows.append([name, str(len(runs)), *cells, median])
    return markdown(rows)


def _mean_and_range(values: list[float], digits: int) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def draw_all(logs: dict[str, list[list[dict]]], folder: Path) -> None:
    """One picture a figure whose runs have finished."""
    for name, variants in FIGURES.items():
        shown = variants if name in ALONE else {"baseline": BASELINE, **variants}
        if all(run in logs for run in shown):
            draw({run: logs[run] for run in shown}, str(folder / f"{name}.png"))


def draw(runs: dict[str, list[list[dict]]], path: str) -> None:
    """Draw validation loss, pixel accuracy and mean IoU over the epochs.

    Args:
        runs: {name: logs of its seeds}; a line is their mean, the band their range.
        path: the picture to write (PNG).
    """
    figure = Figure(figsize=(9.6, 3.1), dpi=150)
    grid = figure.add_gridspec(
        1, 3, left=0.06, right=0.99, top=0.78, bottom=0.16, wspace=0.2
    )
    panels = [figure.add_subplot(cell) for cell in grid]
    colors = iter(_COLORS)
    for name, logs in runs.items():
        color = _BASELINE_COLOR if name == "baseline" else next(colors)
        curves = (
            [series(log, "validation/main/loss") for log in logs],
            [percentages(log, "validation/main/accuracy") for log in logs],
            [percentages(log, "validation/main/miou") for log in logs],
        )
        for axes, seeds in zip(panels, curves, strict=True):
            _plot(axes, seeds, name, color)
    titles = "validation loss", "pixel accuracy (%)", "mean IoU (%)"
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch", fontsize=9)
        axes.tick_params(labelsize=9)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _scale_loss(panels[0])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: str) -> None:
    """As PNG with a palette: a quarter of the bytes that a repository would keep of RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    buffer = io.BytesIO()
    picture.quantize(64, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    write_bytes(path, buffer.getvalue())


def _plot(axes: Axes, seeds: list[list[float]], name: str, color: str) -> None:
    epochs = range(1, len(seeds[0]) + 1)
    by_epoch = list(zip(*seeds, strict=True))
    mean = [statistics.fmean(values) for values in by_epoch]
    axes.plot(epochs, mean, color=color, marker=".", label=name)
    low, high = [min(v) for v in by_epoch], [max(v) for v in by_epoch]
    axes.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)


def _scale_loss(axes: Axes) -> None:
    """Logarithmic where a run diverges."""
    _, top = axes.get_ylim()
    if top < 10:
        axes.set_ylim(0, None)
        return
    axes.set_yscale("log")
    axes.set_ylim(None, min(top, _HIGHEST_LOSS))
    axes.yaxis.set_major_formatter(ScalarFormatter())


if __name__ == "__main__":
    run_program(main)
