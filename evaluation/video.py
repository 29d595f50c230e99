"""Draws the classes over a video, frame by frame; predict.py calls it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from dataset.image_reader import as_channels
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.segmenter import Segmenter
from files.errors import UserError
from files.opencv import cv2
from files.whole_file import whole_file

# FFmpeg's own words on a broken file, which are for programmers; ours follow.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_CODEC = "mp4v"  # the one that OpenCV's wheels can write and most players can read
_USUAL_RATE = 25.0  # frames a second of a file that does not say


def draw_overlay_video(
    segmenter: Segmenter, path: str, target: str, table: LabelTable
) -> tuple[int, float, set[int]]:
    """Write a copy of a video with the classes drawn over it, without sound.

    One frame is in memory at a time.

    Args:
        segmenter: the trained network.
        path: any video that OpenCV reads.
        target: the .mp4 to write; an odd last line or column is cut off, as the codec demands.
        table: the colours.

    Returns:
        tuple: number of frames, how many were done a second, and the classes found.

    Raises:
        UserError: no frame of the video can be read, or the target cannot be written.
    """
    video = cv2.VideoCapture(path)
    try:
        found, frame = video.read()
        if not found:
            raise UserError(
                f"{path}: not a video that OpenCV can read; is the file complete?"
            )
        height, width = (side - side % 2 or side for side in frame.shape[:2])
        rate = video.get(cv2.CAP_PROP_FPS)
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        start, count, classes = time.monotonic(), 0, set()
        with (
            whole_file(target) as temporary,
            _writer(temporary, rate, width, height) as writer,
            tqdm(
                total=total if total > 0 else None,
                desc=os.path.basename(path),
                unit="frame",
                leave=False,
                disable=None,
            ) as bar,
        ):
            while found:
                drawn, found_classes = _overlay_frame(segmenter, frame, table)
                writer.write(drawn[:height, :width])
                classes |= found_classes
                count += 1
                bar.update()
                found, frame = video.read()
        return count, count / max(time.monotonic() - start, 1e-9), classes
    finally:
        video.release()


def _overlay_frame(segmenter: Segmenter, frame, table: LabelTable):
    """BGR in, BGR out, and the classes in it."""
    photo = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    classes = segmenter.classes(as_channels(photo, segmenter.in_ch))
    drawn = panels.overlay(photo, table.colors_of_classes(classes))
    return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), set(np.unique(classes).tolist())


@contextmanager
def _writer(path: str, rate: float, width: int, height: int) -> Iterator:
    """cv2.VideoWriter that closes its file at the end of the block."""
    rate = rate if 1 <= rate <= 240 else _USUAL_RATE  # 0 or NaN where it is not known
    codec = cv2.VideoWriter_fourcc(*_CODEC)
    writer = cv2.VideoWriter(path, codec, rate, (width, height))
    try:
        if not writer.isOpened():
            raise UserError(f"{path}: OpenCV cannot write this video")
        yield writer
    finally:
        writer.release()
