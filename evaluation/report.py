"""Writes report.html, a run in one file that can be passed on; training and predict.py call it.

All it shows is read from the run's output folder, so that it agrees with the files there.
"""

import base64
import glob
import os
from collections.abc import Callable
from contextlib import suppress

import jinja2

from evaluation import run_log
from evaluation.scoring import absent, by_iou
from files import whole_file
from files.digest import file_digest
from files.errors import UserError
from files.text_table import percent

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def write_report(folder: str) -> str:
    """Write ``report.html`` from what training and scoring have left in output_path; gives its path.

    What is missing yet is left out; so are scores of weights that a later training has replaced.
    """
    path = os.path.join(folder, "report.html")
    scores, is_outdated = current_scores(folder)
    drawn = glob.glob(os.path.join(glob.escape(folder), "progress", "*.png"))
    template = page_environment().get_template("report.html.j2")
    text = template.render(
        name=os.path.basename(os.path.normpath(folder)),
        training=_if_readable(_training, folder),
        config=_if_readable(run_log.read_config_text, folder) or "",
        record=_if_readable(run_log.read_record, folder),
        scores=scores,
        is_outdated=is_outdated,
        classes=by_iou(scores) if scores else [],
        absent=absent(scores) if scores else [],
        curves=_picture(os.path.join(folder, "curves.png")),
        progress=_picture(max(drawn)) if drawn else None,
        pictures={
            name: _picture(os.path.join(folder, "predict", f"{name}.png"))
            for name in ("confusion", "reliability", "best", "worst")
        },
    )
    whole_file.write_text(path, text)
    return path


def page_environment(folder: str = _FOLDER) -> jinja2.Environment:
    """Jinja with a folder's templates; ``percent`` and ``picture`` are filters in them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "picture": _picture}
    return environment


def _if_readable(read: Callable, folder: str):
    """What a function reads from a run's folder; None where that is missing or broken."""
    with suppress(UserError):
        return read(folder)
    return None


def _training(folder: str) -> dict:
    """Epochs, and the validation figures of the best one."""
    log = run_log.read_log(folder)
    best = run_log.best_entry(log)
    return {
        "epochs": log[-1]["epoch"],
        "seconds": log[-1]["elapsed_time"],
        "best_epoch": log[best]["epoch"],
        "accuracy": run_log.series(log, "validation/main/accuracy")[best],
        "miou": run_log.series(log, "validation/main/miou")[best],
    }


def current_scores(folder: str) -> tuple[dict | None, bool]:
    """What predict.py has stored; and whether it is of weights that are no longer there."""
    try:
        scores = run_log.read_scores(folder)
        if scores is None:
            return None, False
        models = {scores["model"]: scores["model_sha256"], **scores["averaged_with"]}
        is_current = all(
            file_digest(os.path.join(folder, name)) == digest
            for name, digest in models.items()
        )
    except UserError:
        return None, True
    return (scores, False) if is_current else (None, True)


def _picture(path: str) -> str | None:
    """A picture as a data URI, None if there is none."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            content = base64.b64encode(file.read()).decode()
    except OSError:
        return None
    return f"data:image/png;base64,{content}"
