"""Applies a model to the photos and videos that a user named; for predict.py."""

import os
import sys

import numpy as np

from dataset.image_reader import as_channels, read_any_image
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.input_files import Input, find_inputs
from evaluation.segmenter import Segmenter
from evaluation.video import draw_overlay_video
from files.errors import UserError, printable, printable_lines
from files.opencv import cv2
from files.paths import from_here
from files.png_writer import write_png
from files.progress_bar import print_above, progress_bar


def apply_model(
    segmenter: Segmenter,
    named: list[str],
    table: LabelTable,
    folder: str,
    with_numbers: bool,
) -> int:
    """Write what the model makes of photos and videos, and say what could not be done.

    Args:
        segmenter: the trained network.
        named: files and folders.
        table: names and colours.
        folder: where the results go.
        with_numbers: write the class numbers of videos, too.

    Returns:
        int: exit code: 2 if any could not be read or written, else 0.
    """
    inputs, problems = find_inputs(named, folder)
    found: set[int] = set()
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
                classes, problem = _apply_to_photo(segmenter, item, table), None
            found |= classes
        except UserError as error:
            problem = str(error)
        except (MemoryError, cv2.error) as error:
            if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
                raise
            problem = f"{item.path}: there is not enough memory for it"
        if problem:
            problems.append(problem)
            _print_problem(problem)
    path = os.path.join(folder, "legend.png")
    is_input = os.path.realpath(path) in {os.path.realpath(i.path) for i in inputs}
    if found and not is_input:
        panels.draw_legend(path, found, table)
        print(
            f"in {from_here(folder)}:\n"
            "  NAME_overlay.png  the colours of the classes over a photo (a video: .mp4)\n"
            "  NAME_color.png    the colours alone\n"
            "  NAME_classes.png  the number of each pixel's class (a video: .mkv, by --numbers)\n"
            "  legend.png        which colour is which class"
        )
    if problems:
        print(
            f"{len(problems)} could not be used, or not wholly; the reasons are above"
        )
    return 2 if problems else 0


def _apply_to_photo(segmenter: Segmenter, item: Input, table: LabelTable) -> set[int]:
    """Write overlay, colours and class numbers of a photo; gives the classes found in it."""
    photo = read_any_image(item.path)
    classes = segmenter.classes(as_channels(photo, segmenter.in_ch))
    write_png(f"{item.target}_classes.png", classes)
    colors = table.colors_of_classes(classes)
    write_png(f"{item.target}_color.png", colors)
    write_png(f"{item.target}_overlay.png", panels.overlay(photo, colors))
    return set(np.unique(classes).tolist())


def _apply_to_video(
    segmenter: Segmenter, item: Input, table: LabelTable, with_numbers: bool
) -> tuple[set[int], str | None]:
    """Write an overlay of a video, and its class numbers if wanted.

    Returns:
        tuple: the classes found in it; what is wrong with it, or None.
    """
    target = f"{item.target}_overlay.mp4"
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
