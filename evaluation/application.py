"""Applies a model to the photos and videos that a user named; for predict.py."""

import os
import sys

import numpy as np

from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.input_files import Input, find_inputs
from evaluation.photo_segmenter import PhotoSegmenter, Result
from evaluation.segmenter import Segmenter
from evaluation.video import draw_overlay_video
from files.errors import UserError, printable, printable_lines
from files.opencv import cv2, is_out_of_memory
from files.paths import from_here
from files.progress_bar import print_above, progress_bar
from files.text_table import align, percent

# Photos that the model is least sure of.
_LISTED = 10
_CONFIDENCE = "  NAME_confidence.png  the probability of each pixel's class\n"


def apply_model(
    segmenter: Segmenter,
    named: list[str],
    table: LabelTable,
    folder: str,
    with_numbers: bool,
    with_confidence: bool = False,
) -> int:
    """Write what the model makes of photos and videos, and say what could not be done.

    Args:
        segmenter: the trained network.
        named: files and folders.
        table: names and colours.
        folder: where the results go.
        with_numbers: write the class numbers of videos, too.
        with_confidence: of photos, write how sure the network is, and tell where it is least.

    Returns:
        int: exit code: 2 if any could not be read or written, else 0.
    """
    inputs, problems = find_inputs(named, folder)
    found: set[int] = set()
    segment = PhotoSegmenter(segmenter, table)
    confidences: dict[str, float] = {}
    for problem in problems:
        _print_problem(problem)
    for item in inputs:
        if item.is_renamed:
            print(printable(f"{item.path}: its results are called {item.target}_..."))
    for item in progress_bar(inputs, len(inputs), "input"):
        try:
            if item.is_video:
                classes, problem = _apply_to_video(segmenter, item, table, with_numbers)
            else:
                result, problem = _apply_to_photo(segment, item, with_confidence), None
                classes = set(np.unique(result.classes).tolist())
                if with_confidence:
                    confidences[item.path] = float(result.confidence.mean(dtype="f8"))
            found |= classes
        except UserError as error:
            problem = str(error)
        except (MemoryError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            problem = f"{item.path}: there is not enough memory for it"
        if problem:
            problems.append(problem)
            _print_problem(problem)
    path = os.path.join(folder, "legend.png")
    is_input = os.path.realpath(path) in {os.path.realpath(i.path) for i in inputs}
    if found and not is_input:
        panels.draw_legend(path, found, table)
        print(_explanation(folder, bool(confidences)))
    if confidences:
        print(_least_sure(confidences))
    if problems:
        print(
            f"{len(problems)} could not be used, or not wholly; the reasons are above"
        )
    return 2 if problems else 0


def _explanation(folder: str, with_confidence: bool) -> str:
    """What the files of the results are."""
    return (
        f"in {from_here(folder)}:\n"
        "  NAME_overlay.png  the colours of the classes over a photo (a video: .webm)\n"
        "  NAME_color.png    the colours alone\n"
        "  NAME_classes.png  the number of each pixel's class (a video: .mkv, by --numbers)\n"
        f"{_CONFIDENCE if with_confidence else ''}"
        "  legend.png        which colour is which class"
    )


def _apply_to_photo(
    segment: PhotoSegmenter, item: Input, with_confidence: bool
) -> Result:
    """Write overlay, colours, class numbers and, if wanted, the confidence of a photo."""
    result = segment(item.path, with_confidence)
    result.save(*os.path.split(item.target))
    return result


def _least_sure(confidences: dict[str, float]) -> str:
    """The photos of the lowest mean confidence, for a terminal: the ones to label next."""
    lowest = sorted(confidences, key=lambda path: (confidences[path], path))
    rows = [[path, percent(confidences[path])] for path in lowest[:_LISTED]]
    if len(lowest) == 1:
        return f"mean probability of the class taken: {percent(confidences[lowest[0]])}"
    return (
        f"the {len(rows)} of {len(lowest)} photos that the model is least sure of, by the mean "
        "probability of the class taken\n(NAME_confidence.png shows where): the ones to label "
        f"next\n{printable_lines(align(rows))}"
    )


def _apply_to_video(
    segmenter: Segmenter, item: Input, table: LabelTable, with_numbers: bool
) -> tuple[set[int], str | None]:
    """Write an overlay of a video, and its class numbers if wanted.

    Returns:
        tuple: the classes found in it; what is wrong with it, or None.
    """
    target = f"{item.target}_overlay.webm"
    numbers = f"{item.target}_classes.mkv" if with_numbers else None
    video = draw_overlay_video(segmenter, item.path, target, table, numbers)
    rate = f"{video.frames} frames, {video.rate:.1f} a second"
    print_above(printable(f"{item.path}: {rate} -> {from_here(target)}"))
    if not video.missing:
        return video.classes, None
    return video.classes, (
        f"{item.path}: the video is damaged or cut: {video.missing} of its "
        f"{video.frames + video.missing} frames could not be read; {target} has the others"
    )


def _print_problem(problem: str) -> None:
    print_above(f"error: {printable_lines(problem)}", sys.stderr)
