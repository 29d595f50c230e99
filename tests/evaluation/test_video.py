"""Videos: every frame arrives or a sentence says which do not; any file name; a disk that is full."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import limit_file_size, peak_memory

from dataset.label_table import LabelTable
from evaluation import video
from evaluation.video import draw_overlay_video
from files.errors import UserError
from files.opencv import cv2

TABLE = LabelTable("table", ("a", "b"), np.array([[255, 0, 0], [0, 0, 255]], np.uint8))


class LeftAndRight:
    """Stands in for a Segmenter: class 0 left, class 1 right."""

    in_ch = 3

    def classes(self, photo: np.ndarray) -> np.ndarray:
        classes = np.zeros(photo.shape[:2], np.uint8)
        classes[:, photo.shape[1] // 2 :] = 1
        return classes

    def classes_of_all(self, photos: list[np.ndarray]) -> list[np.ndarray]:
        return [self.classes(photo) for photo in photos]


def write_video(path: Path, frames: int = 20, codec: str = "MJPG") -> bytes:
    plain = path.with_name(f"plain{path.suffix}")
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(plain), fourcc, 10, (96, 64))
    noise = np.random.default_rng(0).integers(0, 256, (frames, 64, 96, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    os.replace(plain, path)
    return path.read_bytes()


def frames_of(path: Path) -> int:
    link = path.with_name("for_opencv.webm")
    link.symlink_to(path)
    capture, count = cv2.VideoCapture(str(link)), 0
    while capture.read()[0]:
        count += 1
    link.unlink()
    return count


def draw(path: Path, target: Path):
    return draw_overlay_video(LeftAndRight(), str(path), str(target), TABLE)


@pytest.mark.parametrize("frames", [1, 2, 25])
def test_every_frame_is_drawn(tmp_path, frames):
    write_video(tmp_path / "a.avi", frames)
    result = draw(tmp_path / "a.avi", tmp_path / "a.webm")
    assert (result.frames, result.missing, result.classes) == (frames, 0, {0, 1})
    assert frames_of(tmp_path / "a.webm") == frames


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.avi", b"50%.avi", b"a%02d.avi", b"x:y.avi"]
)
def test_any_file_name_is_read_and_written(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write_video(path, 3)
    target = tmp_path / os.fsdecode(name.replace(b".avi", b"_overlay.webm"))
    assert draw(path, target).frames == 3
    assert frames_of(target) == 3
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_frames_missing_from_a_cut_video_are_counted(tmp_path, share):
    path = tmp_path / "a.avi"
    content = write_video(path)
    path.write_bytes(content[: int(share * len(content))])
    result = draw(path, tmp_path / "a.webm")
    assert 0 < result.frames < 20
    assert result.frames + result.missing == 20
    assert frames_of(tmp_path / "a.webm") == result.frames


def test_an_estimated_number_of_frames_may_be_a_little_too_large():
    assert video._missing("a.webm", 100, 97) == 0
    assert video._missing("a.webm", 100, 90) == 10
    assert video._missing("a.AVI", 100, 99) == 1
    assert video._missing("a.avi", 0, 99) == 0


def test_frames_of_another_size_are_brought_to_that_of_the_first():
    class Capture:
        def __init__(self, *frames):
            self._frames = list(frames)

        def read(self):
            return (True, self._frames.pop(0)) if self._frames else (False, None)

    first = np.zeros((64, 96, 3), np.uint8)
    capture = Capture(np.zeros((20, 30, 3), np.uint8), first)
    shapes = [frame.shape for frame in video._frames(capture, first)]
    assert shapes == [(64, 96, 3)] * 3


def _draw_with_room_for(size: int, path: Path, target: Path) -> str:
    limit_file_size(size)
    try:
        draw(path, target)
    except UserError as error:
        return str(error)
    return ""


def test_a_full_disk_keeps_the_video_before(tmp_path):
    path, target = tmp_path / "a.avi", tmp_path / "a.webm"
    write_video(path)
    draw(path, target)
    size = target.stat().st_size
    for room in (0, 1, 50, 4096, size // 2, size - 1000, size - 1):
        target.write_bytes(b"the video before")
        sentence, _ = peak_memory(_draw_with_room_for, room, path, target)
        assert sentence.startswith(f"cannot write {target}: "), room
        assert ".tmp" not in sentence
        assert target.read_bytes() == b"the video before"
        assert sorted(os.listdir(tmp_path)) == ["a.avi", "a.webm"]
    sentence, _ = peak_memory(_draw_with_room_for, size, path, target)
    assert sentence == ""
    assert frames_of(target) == 20


def test_a_size_that_cannot_be_encoded_names_the_target(tmp_path, monkeypatch):
    write_video(tmp_path / "a.avi", 1)
    monkeypatch.setattr(video, "_PLAYED", "none")
    with pytest.raises(
        UserError, match=r"cannot write .*/a\.webm: OpenCV cannot encode"
    ):
        draw(tmp_path / "a.avi", tmp_path / "a.webm")


def test_where_symbolic_links_are_refused_a_hard_link_serves(tmp_path, monkeypatch):
    """On Windows only administrators may make symbolic links."""
    write_video(tmp_path / "50%.avi", 2)

    def refuse(*paths):
        raise OSError(1314, "A required privilege is not held by the client")

    with monkeypatch.context() as patch:
        patch.setattr(video.os, "symlink", refuse)
        patch.setattr(video.tempfile, "tempdir", str(tmp_path))
        assert draw(tmp_path / "50%.avi", tmp_path / "50%_overlay.webm").frames == 2
    assert frames_of(tmp_path / "50%_overlay.webm") == 2


def test_class_numbers_of_each_frame_can_be_read_back(tmp_path):
    write_video(tmp_path / "a.avi", 5)
    target, numbers = str(tmp_path / "a.webm"), str(tmp_path / "a.mkv")
    draw_overlay_video(LeftAndRight(), str(tmp_path / "a.avi"), target, TABLE, numbers)
    capture = cv2.VideoCapture(numbers)
    expected = LeftAndRight().classes(np.zeros((64, 96, 3), np.uint8))
    for _ in range(5):
        found, frame = capture.read()
        assert found and (frame == expected[..., None]).all()
    assert not capture.read()[0]


def test_video_is_in_a_format_that_browsers_play(tmp_path):
    """VP8 in a container whose header says webm; browsers refuse matroska, its other name."""
    write_video(tmp_path / "a.avi", 2)
    draw(tmp_path / "a.avi", tmp_path / "a.webm")
    fourcc = int(cv2.VideoCapture(str(tmp_path / "a.webm")).get(cv2.CAP_PROP_FOURCC))
    assert fourcc.to_bytes(4, "little") == b"VP80"
    assert b"\x42\x82\x84webm" in (tmp_path / "a.webm").read_bytes()[:64]


def test_opencv_prints_nothing_while_a_video_is_written(tmp_path, capfd):
    write_video(tmp_path / "a.avi", 2)
    draw(tmp_path / "a.avi", tmp_path / "a.webm")
    os.write(2, b"what comes later is printed")
    assert "OpenCV" not in (printed := capfd.readouterr().err)
    assert printed.endswith("what comes later is printed")


def test_a_video_is_written_where_nothing_can_be_printed(tmp_path):
    """As under `2>&-`, or in a program that was started without a terminal."""
    write_video(tmp_path / "a.avi", 2)
    stderr = os.dup(2)
    os.close(2)
    try:
        result = draw(tmp_path / "a.avi", tmp_path / "a.webm")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    assert result.frames == frames_of(tmp_path / "a.webm") == 2


@pytest.mark.parametrize("lost", [1, 100])
def test_a_video_that_lost_its_end_is_not_whole(tmp_path, lost):
    write_video(tmp_path / "a.avi", 2)
    draw(tmp_path / "a.avi", tmp_path / "a.webm")
    assert video._ends_with_its_segment(str(tmp_path / "a.webm"))
    os.truncate(tmp_path / "a.webm", (tmp_path / "a.webm").stat().st_size - lost)
    assert not video._ends_with_its_segment(str(tmp_path / "a.webm"))


def test_frames_are_read_and_encoded_while_the_network_works(tmp_path, monkeypatch):
    threads = {}

    class Noting(LeftAndRight):
        def classes(self, photo):
            threads["network"] = threading.get_ident()
            return super().classes(photo)

    def noting(name, function):
        def call(*arguments):
            threads[name] = threading.get_ident()
            return function(*arguments)

        return call

    frames = video._frames

    def reading(*arguments):
        for frame in frames(*arguments):
            threads["read"] = threading.get_ident()
            yield frame

    draw = noting("draw", video._Work._write_frame)
    monkeypatch.setattr(video._Work, "_write_frame", draw)
    monkeypatch.setattr(video, "_frames", reading)
    write_video(tmp_path / "a.avi", 3)
    draw_overlay_video(
        Noting(), str(tmp_path / "a.avi"), str(tmp_path / "a.webm"), TABLE
    )
    assert threads["network"] == threading.get_ident()
    assert len(set(threads.values())) == 3


@pytest.mark.parametrize(
    ("shape", "sizes"), [((64, 96), [4, 4, 2]), ((2000, 2000), 10 * [1])]
)
def test_small_frames_go_through_the_network_together(shape, sizes):
    frames = [np.zeros((*shape, 1), np.uint8)] * 10
    assert [len(g) for g in video._groups(iter(frames), frames[0].shape)] == sizes


def test_an_error_while_a_frame_is_drawn_is_not_lost(tmp_path, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(video._Work, "_write_frame", fail)
    write_video(tmp_path / "a.avi", 5)
    with pytest.raises(MemoryError):
        draw(tmp_path / "a.avi", tmp_path / "a.webm")
    assert os.listdir(tmp_path) == ["a.avi"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_pipe_named_like_a_video_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="a.mp4: not a file"):
        draw(tmp_path / "a.mp4", tmp_path / "a.webm")


def refusal_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        draw(path, path.with_suffix(".webm"))
    return str(caught.value)


def test_huge_frames_are_refused_before_one_is_decoded(tmp_path):
    """A GIF of 8 KB; one of 380 KB took more than 4 GB."""
    path = tmp_path / "a.gif"
    frames = [Image.new("P", (6000, 4000), color) for color in (0, 1)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    message, memory = peak_memory(refusal_of, path)
    assert "frames of 6000 x 4000 pixels; at most 16,777,216 are read" in message
    assert memory < 50


def test_large_frames_are_drawn_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_LARGE_PIXELS", 64 * 96 - 1)
    monkeypatch.delattr(video, "in_three_threads")
    write_video(tmp_path / "a.avi", 5)
    assert draw(tmp_path / "a.avi", tmp_path / "a.webm").frames == 5
    assert frames_of(tmp_path / "a.webm") == 5
