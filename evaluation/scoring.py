"""Scores a model on a list of images: one confusion matrix over all of them; for predict.py."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.calibration import BINS, count_reliability
from evaluation.segmenter import Segmenter
from evaluator import confusion_matrix, summarize
from files.errors import UserError
from files.opencv import cv2, is_out_of_memory
from files.text_table import align, percent
from mini_batch_loader import DatasetPreProcessor

# Pixels of a photo that are counted at once.
_COUNTED_PIXELS = 1 << 20
# The shares that are given for each class, as scores.json and tables have them.
SHARES = ("iou", "dice", "recall", "precision")


@dataclass(frozen=True)
class ScoredImage:
    """What came out for one image of a list.

    Args:
        index (int): its place in the list.
        name (str): its file name in the list.
        confusion (ndarray): int64 (n_class, n_class) at the size the network works at.
        photo_confusion (ndarray): the same at the photo's own size.
        photo_classes (ndarray): uint8 or uint16 (H, W), prediction at the photo's own size.
        reliability (ndarray): float64 (2, 3, BINS) as from count_reliability(), at the network's
            size: with the model's temperature, and without any.
    """

    index: int
    name: str
    confusion: np.ndarray
    photo_confusion: np.ndarray
    photo_classes: np.ndarray
    reliability: np.ndarray


class TooLarge(UserError):
    """There is not enough memory to score an image."""


def predict_example(
    segmenter: Segmenter, dataset: DatasetPreProcessor, index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth of an image of a list at network size: int64, int32 (H, W)."""
    image, truth = dataset[index]
    prediction = np.empty(truth.shape, np.int64)
    for rows, scores in segmenter.strips(image):
        scores.argmax(axis=0, out=prediction[rows])
    return prediction, truth


def example_row(
    segmenter: Segmenter, dataset: DatasetPreProcessor, index: int, title: str
) -> panels.Row:
    """Panels of an image of a list, at the size that the network works at."""
    prediction, truth = predict_example(segmenter, dataset, index)
    photo, _ = dataset.plain_pair(index)
    thin = panels.thinning(photo)
    shown = (np.ascontiguousarray(a[thin, thin]) for a in (photo, truth, prediction))
    return panels.comparison_row(title, *shown, dataset.args.label_table)


def image_title(image: dict) -> str:
    """What stands over the panels of an image in scores.json, or in cross_validation.json."""
    fold = f" (fold {image['fold']})" if "fold" in image else ""
    return (
        f"{image['name']}{fold}: {percent(image['pixel_accuracy'])} of the pixels right, "
        f"mean IoU {percent(image['mean_iou'])}"
    )


def score_images(
    segmenter: Segmenter, dataset: DatasetPreProcessor, processes
) -> Iterator[ScoredImage | TooLarge]:
    """Score a list; each process takes one image at a time, so that sizes may differ.

    Args:
        processes: as distributed.join() gives them; all must call it.

    Yields:
        ScoredImage: the images in order, all of them in the first process, none in the others;
        TooLarge instead of one that there is not enough memory for.

    Raises:
        UserError: a file is missing, broken, or disagrees with the configuration.
    """
    for first in range(0, len(dataset), processes.size):
        index = first + processes.rank
        image = None
        if index < len(dataset):
            try:
                image = score_image(segmenter, dataset, index)
            except (MemoryError, cv2.error) as error:
                if not is_out_of_memory(error):
                    raise
                image = TooLarge(
                    f"{dataset.path(index)}: there is not enough memory for it; set a smaller "
                    "image_scale, or leave it out of the list"
                )
        yield from filter(None, processes.gather(image))


def score_image(
    segmenter: Segmenter, dataset: DatasetPreProcessor, index: int
) -> ScoredImage:
    """Score one image of a list at both sizes."""
    n_class = segmenter.n_class
    image, truth = dataset[index]
    confusion = np.zeros((n_class, n_class), np.int64)
    reliability = np.zeros((2, 3, BINS))
    for rows, scores in segmenter.strips(image):
        confusion += confusion_matrix(truth[rows], scores.argmax(axis=0), n_class)
        for count, temperature in zip(reliability, (segmenter.temperature, 1)):
            count += count_reliability(scores, truth[rows], temperature)
    del image, truth
    photo, photo_truth = dataset.full_pair(index)
    photo_classes = segmenter.classes(photo)
    return ScoredImage(
        index,
        dataset.names[index],
        confusion,
        _confusion_by_lines(photo_truth, photo_classes, n_class),
        photo_classes,
        reliability,
    )


def _confusion_by_lines(truth, prediction, n_class: int) -> np.ndarray:
    """confusion_matrix() of a large photo, in parts: it takes 30 bytes a pixel."""
    lines = max(1, _COUNTED_PIXELS // truth.shape[1])
    return sum(
        confusion_matrix(
            truth[top : top + lines].astype(np.int32),
            prediction[top : top + lines],
            n_class,
        )
        for top in range(0, len(truth), lines)
    )


class Scores:
    """The scores of a list, added up image by image.

    Attributes:
        confusion (ndarray): int64 (n_class, n_class) at the size the network works at; row =
            truth, column = prediction.
        photo_confusion (ndarray): the same at the photos' own size.
        reliability (ndarray): float64 (2, 3, BINS), as a ScoredImage's.
        images (list of dict): name and figures of each image.
    """

    def __init__(self, table: LabelTable):
        self.table = table
        self.confusion = np.zeros((len(table), len(table)), np.int64)
        self.photo_confusion = self.confusion.copy()
        self.reliability = np.zeros((2, 3, BINS))
        self.images: list[dict] = []

    def add(self, image: ScoredImage) -> None:
        self.confusion += image.confusion
        self.photo_confusion += image.photo_confusion
        self.reliability += image.reliability
        self.images.append({"name": image.name, **_overall(image.confusion)})

    def as_dict(self) -> dict:
        """All figures as scores.json has them; None where a figure is not defined."""
        figures = summarize(self.confusion)
        classes = [
            {
                "class": number,
                "name": name,
                "color": self.table.colors[number].tolist(),
                **{key: _finite(figures[key][number]) for key in SHARES},
                "pixels": int(figures["pixels"][number]),
            }
            for number, name in enumerate(self.table.names)
        ]
        return {
            **_overall(self.confusion),
            "at_photo_size": _overall(self.photo_confusion),
            "classes": classes,
            "ignored": [self.table.names[i] for i in sorted(self.table.ignored)],
            "confusion": self.confusion.tolist(),
            "images": self.images,
        }


def _overall(confusion: np.ndarray) -> dict:
    figures = summarize(confusion)
    keys = "pixel_accuracy", "mean_iou", "mean_dice"
    return {key: _finite(figures[key]) for key in keys}


def _finite(figure: float) -> float | None:
    return float(figure) if np.isfinite(figure) else None


def by_iou(scores: dict) -> list[dict]:
    """The classes that occur in the truth, best IoU first."""
    present = [c for c in scores["classes"] if c["pixels"] and c["iou"] is not None]
    return sorted(present, key=lambda c: (-c["iou"], c["class"]))


def absent(scores: dict) -> list[str]:
    """Names of the classes that are scored but do not occur in the truth."""
    ignored = scores["ignored"]
    return [
        c["name"]
        for c in scores["classes"]
        if not c["pixels"] and c["name"] not in ignored
    ]


def score_table(scores: dict) -> str:
    """The scores for a terminal: a line a class, best IoU first, then those left out."""
    rows = [["class", "IoU", "Dice", "recall", "precision", "pixels"]]
    for entry in by_iou(scores):
        shares = [percent(entry[key]) for key in SHARES]
        rows.append([entry["name"], *shares, f"{entry['pixels']:,}"])
    lines = [align(rows)]
    if absent(scores):
        lines.append(f"not in these images: {', '.join(absent(scores))}")
    if scores["ignored"]:
        lines.append(f"not scored (ignore_labels): {', '.join(scores['ignored'])}")
    return "\n".join(lines)
