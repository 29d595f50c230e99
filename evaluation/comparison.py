"""Reads the runs below some folders and lays out how they differ, as tables and CSV; for visualizer.py."""

import csv
import io
import math
import os
import re
import statistics
import sys
from dataclasses import dataclass
from functools import cached_property

from evaluation.report import current_scores
from evaluation.run_log import best_entry, read_config, read_log, series
from files.errors import UserError, printable
from files.text_table import align, percent, plus_minus

_FOLD = re.compile(r"fold\d+")


@dataclass(frozen=True)
class Run:
    """One training, and what predict.py found out about it.

    Args:
        folder (str): its output_path, as the user would type it.
        log (list of dict): as read_log() gives it.
        config (dict): its keys, sections flattened.
        scores (dict or None): scores.json; None where its present weights are not scored.
    """

    folder: str
    log: list[dict]
    config: dict[str, object]
    scores: dict | None

    @cached_property
    def best(self) -> int:
        """Index of the epoch with the best validation mean IoU."""
        return best_entry(self.log)

    def validation(self, key: str, index: int) -> float:
        return series(self.log, f"validation/main/{key}")[index]

    def test(self, key: str) -> float | None:
        return self.scores and self.scores[key]

    @property
    def seconds(self) -> float:
        """Of an epoch."""
        return series(self.log, "elapsed_time")[-1] / len(self.log)


def read_runs(folders: list[str]) -> list[Run]:
    """The runs in folders and below them, the best validation mean IoU first.

    A folder that holds a run itself stands for that run. A broken run below another folder is
    named on standard error and left out.

    Raises:
        UserError: a folder holds no run, or a broken one.
    """
    runs: dict[str, Run] = {}
    for folder in folders:
        found = [folder] if _holds_run(folder) else list(_runs_below(folder))
        for path in found or [folder]:
            try:
                runs.setdefault(os.path.realpath(path), _read(path))
            except UserError as error:
                if path == folder:
                    raise
                print(f"left out: {printable(error)}", file=sys.stderr)
    ranked = [(run.validation("miou", run.best), run) for run in runs.values()]
    # NaN, of a run without validation, comes last.
    return [run for _, run in sorted(ranked, key=lambda r: (r[0] != r[0], -r[0]))]


def _holds_run(folder: str) -> bool:
    return all(
        os.path.isfile(os.path.join(folder, name)) for name in ("log", "config.yaml")
    )


def _runs_below(folder: str):
    for parent, subfolders, _ in os.walk(folder):
        # Results that a run is about to replace lie in "earlier".
        subfolders[:] = sorted(name for name in subfolders if name != "earlier")
        if _holds_run(parent):
            yield parent


def _read(folder: str) -> Run:
    scores, _ = current_scores(folder)
    return Run(folder, read_log(folder), read_config(folder), scores)


@dataclass(frozen=True)
class RunGroup:
    """A run, or the folds of a cross-validation, which count as one.

    Args:
        name (str): the folder of the run, or the one with the folds, and their number.
        runs (list of Run): one, or those of the folds.
    """

    name: str
    runs: list[Run]

    def best_miou(self) -> str:
        return mean_and_deviation([r.validation("miou", r.best) for r in self.runs])

    def class_iou(self, name: str) -> str:
        """Test IoU of a class, over the runs in whose images it occurs."""
        ious = [_ious(run).get(name) for run in self.runs if run.scores]
        return mean_and_deviation([iou for iou in ious if iou is not None] or [None])


def group_folds(runs: list[Run]) -> list[RunGroup]:
    """Runs in folders fold1, fold2, ... of one folder are the folds of a cross-validation.

    In the order of the best validation mean IoU, or its mean over the folds.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        parent, name = os.path.split(os.path.normpath(run.folder))
        is_fold = _FOLD.fullmatch(name) is not None
        groups.setdefault(parent if is_fold else run.folder, []).append(run)

    def rank(group: RunGroup) -> tuple:
        mean = statistics.fmean(r.validation("miou", r.best) for r in group.runs)
        return math.isnan(mean), -mean  # NaN comes last

    named = [
        RunGroup(f"{folder} ({len(group)} folds)", group)
        if len(group) > 1
        else RunGroup(group[0].folder, group)
        for folder, group in groups.items()
    ]
    return sorted(named, key=rank)


def best_and_final(runs: list[Run]) -> str:
    """Validation figures of each run in its best and in its last epoch, and its test scores."""
    rows = [
        [*("validation", "epoch", "mean IoU", "accuracy", "loss", "s an epoch")]
        + ["test mean IoU", "test accuracy"]
    ]
    for group in group_folds(runs):
        for what in ("best", "final"):
            at = [(r, r.best if what == "best" else len(r.log) - 1) for r in group.runs]
            epochs = [run.log[index]["epoch"] for run, index in at]
            first, last = min(epochs), max(epochs)
            scored = [
                run.scores and run.scores["model"].endswith(f"fcn_{what}.npz")
                for run in group.runs
            ]
            test = [
                [r.test(key) if s else None for r, s in zip(group.runs, scored)]
                for key in ("mean_iou", "pixel_accuracy")
            ]
            rows.append(
                [
                    f"{group.name} {what}",
                    f"{first}" if first == last else f"{first} to {last}",
                    mean_and_deviation([r.validation("miou", i) for r, i in at]),
                    mean_and_deviation([r.validation("accuracy", i) for r, i in at]),
                    f"{statistics.fmean(r.validation('loss', i) for r, i in at):.4g}",
                    f"{statistics.fmean(run.seconds for run in group.runs):.1f}",
                    *map(mean_and_deviation, test),
                ]
            )
    return align(rows)


def over_seeds(runs: list[Run]) -> str:
    """Mean and standard deviation of runs that differ in their seeds alone; empty if none do."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        keys = {k: v for k, v in _compared(run).items() if k != "seed"}
        settings = tuple(sorted((key, str(value)) for key, value in keys.items()))
        groups.setdefault(settings, []).append(run)
    rows = [["mean over seeds", "runs", "validation mean IoU", "test mean IoU"]]
    for group in groups.values():
        if len({run.config.get("seed") for run in group}) > 1:
            validation = [run.validation("miou", run.best) for run in group]
            test = [run.test("mean_iou") for run in group]
            cells = mean_and_deviation(validation), mean_and_deviation(test)
            rows.append([f"{group[0].folder} ...", f"{len(group)}", *cells])
    return align(rows) if len(rows) > 1 else ""


def mean_and_deviation(shares: list[float | None]) -> str:
    """The deviation is that of a sample, with n - 1; a single share has none."""
    if None in shares:
        return "-"
    # statistics.stdev() raises on NaN before Python 3.13; the loss of one fold may have diverged.
    if len(shares) == 1 or any(map(math.isnan, shares)):
        return percent(statistics.fmean(shares))
    return plus_minus(statistics.mean(shares), statistics.stdev(shares))


def iou_by_class(runs: list[Run]) -> str:
    """Test IoU of each class in each run that was scored; empty if none was."""
    scored = group_folds([run for run in runs if run.scores])
    names = dict.fromkeys(n for group in scored for r in group.runs for n in _ious(r))
    if not names:
        return ""
    rows = [["test IoU", *(group.name for group in scored)]]
    rows += [[name, *(group.class_iou(name) for group in scored)] for name in names]
    return align(rows)


def _ious(run: Run) -> dict[str, float | None]:
    classes = run.scores["classes"] if run.scores else []
    return {c["name"]: c["iou"] for c in classes if c["pixels"]}


def differences(runs: list[Run]) -> str:
    """The config keys in which runs differ, but for where they write to, and the lists of folds."""
    groups = group_folds(runs)
    compared = [_compared(group.runs[0]) for group in groups]
    for keys, group in zip(compared, groups, strict=True):
        if len(group.runs) > 1:
            for part in ("train", "val", "test"):
                keys.pop(f"{part}_image_pointer", None)
    rows = []
    for key in dict.fromkeys(key for keys in compared for key in keys):
        values = [str(keys.get(key, "-")) for keys in compared]
        if len(set(values)) > 1:
            rows.append([key, *values])
    if not rows:
        return "the configurations do not differ"
    return align([["config key", *(group.name for group in groups)], *rows])


def _compared(run: Run) -> dict[str, object]:
    """The configuration without output_path; paths, stored relative to the run, as seen from here."""
    return {
        key: os.path.normpath(os.path.join(run.folder, str(value)))
        if key.endswith(("_path", "_pointer"))
        else value
        for key, value in run.config.items()
        if key != "output_path"
    }


def as_csv(runs: list[Run]) -> str:
    """A line a run: seed, best epoch, figures in [0, 1], then the test IoU of each class."""
    names = dict.fromkeys(name for run in runs for name in _ious(run))
    rows = [
        {
            "run": run.folder,
            "seed": run.config.get("seed"),
            "epochs": len(run.log),
            "best_epoch": run.log[run.best]["epoch"],
            "validation_miou": run.validation("miou", run.best),
            "validation_accuracy": run.validation("accuracy", run.best),
            "validation_loss": run.validation("loss", run.best),
            "test_miou": run.test("mean_iou"),
            "test_accuracy": run.test("pixel_accuracy"),
            "s_per_epoch": round(run.seconds, 3),
            **{f"IoU {name}": _ious(run).get(name) for name in names},
        }
        for run in runs
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
