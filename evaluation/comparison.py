"""Reads the runs below some folders and lays out how they differ, as tables and CSV; for visualizer.py."""

import csv
import io
import os
import statistics
import sys
from dataclasses import dataclass
from functools import cached_property

from evaluation.report import current_scores
from evaluation.run_log import best_entry, read_config, read_log, series
from files.errors import UserError, printable
from files.text_table import align, percent


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


def best_and_final(runs: list[Run]) -> str:
    """Validation figures of each run in its best and in its last epoch, and its test scores."""
    rows = [
        [*("validation", "epoch", "mean IoU", "accuracy", "loss", "s an epoch")]
        + ["test mean IoU", "test accuracy"]
    ]
    for run in runs:
        for what, index in (("best", run.best), ("final", len(run.log) - 1)):
            scored = run.scores and run.scores["model"].endswith(f"fcn_{what}.npz")
            test = [
                run.test(k) if scored else None for k in ("mean_iou", "pixel_accuracy")
            ]
            rows.append(
                [
                    f"{run.folder} {what}",
                    f"{run.log[index]['epoch']}",
                    percent(run.validation("miou", index)),
                    percent(run.validation("accuracy", index)),
                    f"{run.validation('loss', index):.4g}",
                    f"{run.seconds:.1f}",
                    *map(percent, test),
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
            cells = _mean_and_deviation(validation), _mean_and_deviation(test)
            rows.append([f"{group[0].folder} ...", f"{len(group)}", *cells])
    return align(rows) if len(rows) > 1 else ""


def _mean_and_deviation(shares: list[float | None]) -> str:
    """The deviation is that of a sample, with n - 1."""
    if None in shares:
        return "-"
    mean, deviation = statistics.mean(shares), statistics.stdev(shares)
    return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"


def iou_by_class(runs: list[Run]) -> str:
    """Test IoU of each class in each run that was scored; empty if none was."""
    scored = [run for run in runs if run.scores]
    names = dict.fromkeys(
        c["name"] for r in scored for c in r.scores["classes"] if c["pixels"]
    )
    if not names:
        return ""
    rows = [["test IoU", *(run.folder for run in scored)]]
    rows += [[n, *(percent(_ious(run).get(n)) for run in scored)] for n in names]
    return align(rows)


def _ious(run: Run) -> dict[str, float | None]:
    classes = run.scores["classes"] if run.scores else []
    return {c["name"]: c["iou"] for c in classes if c["pixels"]}


def differences(runs: list[Run]) -> str:
    """The config keys in which runs differ, but for where they write to."""
    compared = [_compared(run) for run in runs]
    rows = []
    for key in dict.fromkeys(key for keys in compared for key in keys):
        values = [str(keys.get(key, "-")) for keys in compared]
        if len(set(values)) > 1:
            rows.append([key, *values])
    if not rows:
        return "the configurations do not differ"
    return align([["config key", *(run.folder for run in runs)], *rows])


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
