"""Puts the scores of all folds together, as figures, JSON and one page; for cross_validate.py."""

import json
import os
import statistics

import numpy as np

from dataset.label_table import LabelTable
from evaluation.figures import draw_confusion
from evaluation.report import page_environment
from evaluation.scoring import Scores, absent, by_iou, score_table
from files import whole_file
from files.text_table import align, percent, plus_minus

_NAME = "cross_validation"
FIGURES = "pixel_accuracy", "mean_iou", "mean_dice"


def picture_path(folder: str, name: str) -> str:
    """Where a picture of the page lies in the folder of a cross-validation."""
    return os.path.join(folder, _NAME, f"{name}.png")


def combine(folds: list[dict], table: LabelTable) -> dict:
    """The figures of a cross-validation.

    Args:
        folds: of each fold, what predict.py stored in scores.json.
        table: names and colours.

    Returns:
        dict: ``folds``, the figures of each; ``over_folds``, mean and sample standard deviation
        of them, at the photos' own size, too; ``out_of_fold``, the figures and classes of one
        confusion matrix over all images, each scored by the model that never saw it, as
        Scores.as_dict() has them; ``images``, the worst first.
    """
    scores = Scores(table)
    for fold in folds:
        scores.confusion += np.array(fold["confusion"], np.int64)
    pooled = scores.as_dict()
    del pooled["at_photo_size"], pooled["images"]
    for number, entry in enumerate(pooled["classes"]):
        ious = [fold["classes"][number]["iou"] for fold in folds]
        entry["iou_over_folds"] = spread(ious)
    return {
        "folds": [_fold_entry(number, fold) for number, fold in enumerate(folds, 1)],
        "over_folds": {
            **_spreads(folds),
            "at_photo_size": _spreads([fold["at_photo_size"] for fold in folds]),
        },
        "out_of_fold": pooled,
        "images": _worst_first(folds),
    }


def _fold_entry(number: int, fold: dict) -> dict:
    figures = {key: fold[key] for key in (*FIGURES, "at_photo_size")}
    return {"fold": number, "images": len(fold["images"]), **figures}


def _spreads(figures: list[dict]) -> dict:
    return {key: spread([entry[key] for entry in figures]) for key in FIGURES}


def spread(values: list[float | None]) -> dict:
    """Mean and sample standard deviation of the values that are defined; None where there are too few."""
    defined = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(defined) if defined else None,
        "deviation": statistics.stdev(defined) if len(defined) > 1 else None,
        "folds": len(defined),
    }


def _worst_first(folds: list[dict]) -> list[dict]:
    """The images of all folds, the fewest pixels right first; those without a labelled pixel last."""
    images = [
        {**image, "fold": number, "index": index}
        for number, fold in enumerate(folds, 1)
        for index, image in enumerate(fold["images"])
    ]
    accuracy = "pixel_accuracy"
    return sorted(images, key=lambda i: (i[accuracy] is None, i[accuracy] or 0))


def _spread_text(figure: dict) -> str:
    """What spread() gave, as text."""
    return plus_minus(figure["mean"], figure["deviation"])


def write_cross_validation(folder: str, figures: dict, table: LabelTable) -> str:
    """Write ``cross_validation.json``, the confusion matrix and ``cross_validation.html``.

    Args:
        folder: output_path.
        figures: as combine() gives them.
        table: the names.

    Returns:
        str: path of the page.
    """
    pooled = figures["out_of_fold"]
    path = picture_path(folder, "confusion")
    draw_confusion(np.array(pooled["confusion"]), table, path)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    whole_file.write_text(os.path.join(folder, f"{_NAME}.json"), text + "\n")
    environment = page_environment()
    environment.filters["plus_minus"] = _spread_text
    page = environment.get_template(f"{_NAME}.html.j2").render(
        name=os.path.basename(os.path.normpath(folder)),
        figures=figures,
        classes=by_iou(pooled),
        absent=absent(pooled),
        confusion=path,
        worst=picture_path(folder, "worst"),
    )
    path = os.path.join(folder, f"{_NAME}.html")
    whole_file.write_text(path, page)
    return path


def as_table(figures: dict) -> str:
    """The figures for a terminal."""
    rows = [["fold", "images", "pixel accuracy", "mean IoU", "mean Dice"]]
    for fold in figures["folds"]:
        shares = [percent(fold[key]) for key in FIGURES]
        rows.append([str(fold["fold"]), str(fold["images"]), *shares])
    over, pooled = figures["over_folds"], figures["out_of_fold"]
    images = str(len(figures["images"]))
    rows.append(["mean, deviation", "", *(_spread_text(over[key]) for key in FIGURES)])
    rows.append(["all images", images, *(percent(pooled[key]) for key in FIGURES)])
    return f"{align(rows)}\n\n{score_table(pooled)}"
