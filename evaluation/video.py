"""Draws the classes over a video, frame by frame; predict.py calls it."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from dataset.image_reader import as_channels
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.pipeline import in_three_threads
from evaluation.segmenter import Segmenter
from files.errors import UserError
from files.opencv import LIMIT_NAME, MAX_PIXELS, cv2
from files.progress_bar import progress_bar
from files.whole_file import whole_file

# Hides FFmpeg's own messages about a broken file, which do not name it; ours do.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# All browsers play VP8 in WebM. OpenCV's wheels cannot write H.264, and take 58 ms of a processor
# for a 480 x 360 frame in VP9, and 300 ms for a noisy one, against 12 ms in VP8.
_PLAYED = "VP80"
_LOSSLESS = "FFV1"  # class numbers must not be smoothed
_WAITING = 1  # groups of frames that a thread may be ahead, or behind
# Frames that go through the network together, and their pixels: see Segmenter.classes_of_all().
_TOGETHER, _GROUP_PIXELS = 4, 1 << 21
# Pixels of a frame, 5.3K for instance. In three threads a video takes 75 bytes for each of them, so
# of frames larger than 4K one is worked on at a time.
_MOST_PIXELS = MAX_PIXELS // 2
_LARGE_PIXELS = 1 << 23 | 1 << 20
_USUAL_RATE = 25.0  # frames a second of a file that does not say
# These store the number of their frames; of others, OpenCV estimates it from the duration.
_COUNTED = (".3gp", ".avi", ".m4v", ".mov", ".mp4")


@dataclass(frozen=True)
class OverlayVideo:
    """What draw_overlay_video() has done.

    Args:
        frames (int): that were drawn.
        missing (int): further frames that the video should have, but that could not be read.
        rate (float): frames drawn a second.
        classes (set of int): those found in it.
    """

    frames: int
    missing: int
    rate: float
    classes: set[int]


def draw_overlay_video(
    segmenter: Segmenter,
    path: str,
    target: str,
    table: LabelTable,
    numbers: str | None = None,
) -> OverlayVideo:
    """Write a copy of a video with the classes drawn over it, without sound.

    While the network computes a frame, the next ones are read and the ones before are coloured
    and encoded, in a thread each. A few frames are in memory at a time.

    Args:
        segmenter: the trained network.
        path: any video that OpenCV reads.
        target: the .webm to write; an odd last line or column is cut off, as the codec demands.
        table: the colours.
        numbers: a further video to write, if given: an .mkv, one grey level a class, lossless.

    Raises:
        UserError: no frame of the video can be read, or the target cannot be written.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: not a file; a pipe or device is not read")
    start, count, classes = time.monotonic(), 0, set()
    with ExitStack() as files:
        video, first = files.enter_context(_opened(path))
        targets = {target: _PLAYED} | ({numbers: _LOSSLESS} if numbers else {})
        written = {t: files.enter_context(whole_file(t)) for t in targets}
        total = max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        height, width = (side - side % 2 or side for side in first.shape[:2])
        shape = video.get(cv2.CAP_PROP_FPS), width, height
        with ExitStack() as writers:
            videos = [
                writers.enter_context(_writer(written[t], t, codec, *shape))
                for t, codec in targets.items()
            ]
            work = _Work(segmenter, table, (height, width), *videos)
            groups = _groups(_frames(video, first), first.shape)
            if width * height > _LARGE_PIXELS:
                stages = (work.write(work.segment(group)) for group in groups)
            else:
                stages = in_three_threads(groups, work.segment, work.write, _WAITING)
            done = chain.from_iterable(writers.enter_context(closing(stages)))
            name = os.path.basename(path)
            for found in progress_bar(done, total or None, "frame", name):
                classes |= found
                count += 1
        for name, temporary in written.items():
            _refuse_lost_frames(temporary, name, count)
    speed = count / max(time.monotonic() - start, 1e-9)
    return OverlayVideo(count, _missing(path, total, count), speed, classes)


@dataclass
class _Work:
    """What is done to groups of frames, which are BGR, in two stages.

    Args:
        segmenter (Segmenter): the trained network.
        table (LabelTable): the colours.
        size (tuple of int): (height, width) of what is written.
        overlay (cv2.VideoWriter): takes frames with the classes drawn over them.
        numbers (cv2.VideoWriter): takes the class numbers, if they are wanted.
    """

    segmenter: Segmenter
    table: LabelTable
    size: tuple[int, int]
    overlay: cv2.VideoWriter
    numbers: cv2.VideoWriter | None = None

    def segment(self, frames: list[np.ndarray]) -> list[tuple]:
        """Each frame with its classes (H, W)."""
        photos = (cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames)
        seen = [as_channels(photo, self.segmenter.in_ch) for photo in photos]
        return list(zip(frames, self.segmenter.classes_of_all(seen)))

    def write(self, segmented: list[tuple]) -> list[set[int]]:
        """Gives the classes in each frame."""
        return [self._write_frame(*pair) for pair in segmented]

    def _write_frame(self, frame: np.ndarray, classes: np.ndarray) -> set[int]:
        inside = np.s_[: self.size[0], : self.size[1]]
        colors = self.table.colors_of_classes(classes)
        drawn = panels.overlay(frame, colors[:, :, ::-1])
        self.overlay.write(drawn[inside])
        if self.numbers:
            grey = np.ascontiguousarray(classes[inside], np.uint8)
            self.numbers.write(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        return set(np.flatnonzero(np.bincount(classes.ravel())).tolist())


@contextmanager
def _opened(path: str) -> Iterator[tuple[cv2.VideoCapture, np.ndarray]]:
    """A video, and its first frame, BGR.

    Raises:
        UserError: it has no frame that can be read.
    """
    with _readable(path) as name:
        video = cv2.VideoCapture(name)
        try:
            _refuse_too_large(path, video)
            found, frame = video.read()
            if not found:
                raise UserError(
                    f"{path}: not a video that OpenCV can read; is the file complete?"
                )
            yield video, frame
        finally:
            video.release()


def _refuse_too_large(path: str, video: cv2.VideoCapture) -> None:
    """Raise a UserError for frames of more pixels than there may be, before one is decoded."""
    sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
    width, height = (int(video.get(side)) for side in sides)
    if width * height > _MOST_PIXELS:
        raise UserError(
            f"{path}: frames of {width} x {height} pixels; at most {_MOST_PIXELS:,} are read. Make "
            f"the video smaller, or allow more with the environment variable {LIMIT_NAME}, which is "
            "twice as many"
        )


def _frames(video: cv2.VideoCapture, first: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of a video, BGR, all of the size of the first, which was read already."""
    height, width = first.shape[:2]
    found, frame = True, first
    while found:
        if frame.shape != first.shape:  # some formats may change the size on the way
            frame = cv2.resize(frame, (width, height))
        yield frame
        found, frame = video.read()


def _missing(path: str, total: int, count: int) -> int:
    """Frames that a damaged video lost, given the number that it should have."""
    is_counted = path.lower().endswith(_COUNTED)
    tolerance = 0 if is_counted else 1 + total // 50
    return total - count if total - count > tolerance else 0


def _groups(frames: Iterator[np.ndarray], shape: tuple) -> Iterator[list[np.ndarray]]:
    """The frames, some of them together: as many as are small enough."""
    count = max(1, min(_TOGETHER, _GROUP_PIXELS // (shape[0] * shape[1])))
    while group := list(islice(frames, count)):
        yield group


@contextmanager
def _readable(path: str) -> Iterator[str]:
    """A name under which OpenCV can open a file.

    A name that is no UTF-8 ends OpenCV's video functions with a segmentation fault, and % stands
    for numbers in it: such a file gets a link with a plain name. FFmpeg takes the part before a
    colon for a protocol, unless the path begins with a slash.
    """
    path = os.path.abspath(path)
    if "%" not in path and path.encode(errors="replace").decode() == path:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, f"video{os.path.splitext(path)[1]}")
        _link(path, link)
        yield link


def _link(path: str, link: str) -> None:
    """Give a file a second name; on Windows only administrators may make symbolic links."""
    for make in (os.symlink, os.link):
        with suppress(OSError):
            return make(path, link)
    raise UserError(f"{path}: OpenCV cannot open a video of this name; rename it")


@contextmanager
def _writer(
    path: str,
    target: str,
    codec: str,
    rate: float,
    width: int,
    height: int,
) -> Iterator:
    """cv2.VideoWriter that closes its file at the end of the block; target is for messages."""
    open(path, "wb").close()  # OpenCV does not say why it cannot write
    rate = rate if 1 <= rate <= 240 else _USUAL_RATE  # 0 or NaN where it is not known
    with _readable(path) as name:
        fourcc = cv2.VideoWriter_fourcc(*codec)
        with _silent_stderr():
            writer = cv2.VideoWriter(name, fourcc, rate, (width, height))
        try:
            if not writer.isOpened():
                raise UserError(
                    f"cannot write {target}: OpenCV cannot encode a video of {width} x "
                    f"{height} pixels at {rate:g} frames a second"
                )
            yield writer
        finally:
            writer.release()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is printed: OpenCV always tells that codecs in WebM have no four-letter names."""
    try:
        terminal = os.dup(2)
    except OSError:  # the program was started without one
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        sys.stderr.flush()
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _refuse_lost_frames(path: str, target: str, count: int) -> None:
    """Look whether a video was written wholly: OpenCV does not report failed writes."""
    with _readable(path) as name:
        video = cv2.VideoCapture(name)
        found = 0
        while video.grab():
            found += 1
        video.release()
    if found != count or not _ends_with_its_segment(path):
        raise UserError(
            f"cannot write {target}: of {count} frames, {found} can be read back; is the disk "
            "full? What was stored before is intact"
        )


def _ends_with_its_segment(path: str) -> bool:
    """Whether a WebM or MKV file is as long as it says; the index of its frames comes last.

    Such a file, which OpenCV has read, consists of two elements, EBML and Segment (RFC 9559). Each
    has a name of four bytes, the length of its content, and the content. As many zero bits as the
    length has further bytes come first in it, then a one (RFC 8794).
    """
    with open(path, "rb") as file:
        for _ in range(2):
            first = file.read(5)[4:]
            further = 8 - first[0].bit_length()
            length = int.from_bytes(first + file.read(further), "big")
            length -= 1 << 7 * (further + 1)  # without the one that comes first
            file.seek(length, os.SEEK_CUR)
        return file.tell() == os.path.getsize(path)
