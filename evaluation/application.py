"""Applies a model to the photos and videos that a user named; for predict.py."""

import math
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from dataset.image_reader import any_image, checked_content, decode
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.input_files import Input, find_inputs
from evaluation.photo_segmenter import PhotoSegmenter, Result
from evaluation.pipeline import in_three_threads
from evaluation.segmenter import Segmenter
from evaluation.video import draw_overlay_video
from files.errors import UserError, printable, printable_lines
from files.opencv import cv2, is_out_of_memory
from files.paths import from_here
from files.progress_bar import print_above, progress_bar
from files.text_table import align, percent

# Photos that may be decoded ahead, and that may wait to be written. Those of more pixels are done
# one at a time: with its results, a photo takes 10 bytes a pixel and more.
_WAITING = 1
_LARGE_PIXELS = 1 << 24
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
    work = _Work(segment, segmenter, table, with_numbers, with_confidence)
    stages = (map(work.read, inputs), work.compute, work.write, _WAITING)
    with closing(in_three_threads(*stages)) as done:
        for step in progress_bar(done, len(inputs), "input"):
            found |= step.classes
            if step.said:
                print_above(printable(step.said))
            if step.confidence is not None:
                confidences[step.item.path] = step.confidence
            if step.problem:
                problems.append(step.problem)
                _print_problem(step.problem)
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


@dataclass
class _Step:
    """An input on its way: what is known of it so far.

    Args:
        item (Input): the file.
        photo (ndarray): decoded; None: of a video, or a large photo, or what cannot be read.
        result (Result): of a photo; it is not written yet.
        classes (set of int): those found in it.
        confidence (float): mean probability of the classes taken in a photo, if it is wanted.
        said (str): a line about a video that was written.
        problem (str): why it cannot be used, or not wholly.
    """

    item: Input
    photo: np.ndarray | None = None
    result: Result | None = None
    classes: set[int] = field(default_factory=set)
    confidence: float | None = None
    said: str | None = None
    problem: str | None = None


def _or_problem(work: Callable) -> Callable:
    """Work on a step that leaves an error as the step's problem, and does no step that has one."""

    def attempt(self, step: _Step) -> _Step:
        try:
            if not step.problem:
                work(self, step)
        except UserError as error:
            step.problem = str(error)
        except (MemoryError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            step.problem = f"{step.item.path}: there is not enough memory for it"
        return step

    return attempt


@dataclass
class _Work:
    """What is done to an input, in three stages that go on at the same time.

    A photo is decoded while the network computes the one before, and the results of the one before
    that are coloured and written. A large photo and a video are done in the middle stage alone,
    so that there is memory for them.
    """

    segment: PhotoSegmenter
    segmenter: Segmenter
    table: LabelTable
    with_numbers: bool
    with_confidence: bool

    def read(self, item: Input) -> _Step:
        return self._decode(_Step(item))

    @_or_problem
    def _decode(self, step: _Step) -> None:
        if step.item.is_video:
            return
        content, size = checked_content(step.item.path)
        if math.prod(size) <= _LARGE_PIXELS:
            step.photo = any_image(decode(step.item.path, content))

    @_or_problem
    def compute(self, step: _Step) -> None:
        if step.item.is_video:
            self._apply_to_video(step)
            return
        is_large = step.photo is None
        photo = step.item.path if is_large else step.photo
        step.result = self.segment(photo, self.with_confidence)
        step.photo = None
        if is_large:
            self._save(step)

    @_or_problem
    def write(self, step: _Step) -> None:
        if step.result is not None:
            self._save(step)

    def _save(self, step: _Step) -> None:
        """Write overlay, colours, class numbers and, if wanted, the confidence of a photo."""
        result, step.result = step.result, None
        result.save(*os.path.split(step.item.target))
        step.classes = set(np.flatnonzero(np.bincount(result.classes.ravel())).tolist())
        if self.with_confidence:
            step.confidence = float(result.confidence.mean(dtype="f8"))

    def _apply_to_video(self, step: _Step) -> None:
        """Write an overlay of a video, and its class numbers if wanted."""
        path, target = step.item.path, f"{step.item.target}_overlay.webm"
        numbers = f"{step.item.target}_classes.mkv" if self.with_numbers else None
        video = draw_overlay_video(self.segmenter, path, target, self.table, numbers)
        rate = f"{video.frames} frames, {video.rate:.1f} a second"
        step.said = f"{path}: {rate} -> {from_here(target)}"
        step.classes = video.classes
        if video.missing:
            step.problem = (
                f"{path}: the video is damaged or cut: {video.missing} of its "
                f"{video.frames + video.missing} frames could not be read; {target} has the "
                "others"
            )


def _least_sure(confidences: dict[str, float]) -> str:
    """The photos of the lowest mean confidence, for a terminal: the ones to label next."""
    lowest = sorted(confidences, key=lambda path: (confidences[path], path))
    rows = [[path, percent(confidences[path])] for path in lowest[:_LISTED]]
    if len(lowest) == 1:
        return f"mean probability of the class taken: {percent(confidences[lowest[0]])}"
    return (
        f"the {len(rows)} of {len(lowest)} photos that the model is least sure of, by the mean "
        "probability of the class taken\n(NAME_confidence.png shows where): the ones to label "
        f"next\n{align(rows)}"
    )


def _print_problem(problem: str) -> None:
    print_above(f"error: {printable_lines(problem)}", sys.stderr)
