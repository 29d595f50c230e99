import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dataset import demo_data
from dataset.demo_data import ensure_demo_data, make_demo_data, missing_file
from dataset.toy_street.canvas import LABEL_COLORS
from dataset.toy_street.scene import render_scene
from files.errors import UserError, run_program
from files.opencv import cv2

DEFAULT = demo_data.SPLITS
SMALL = {"train": 2, "val": 1, "test": 1}
RARE = ["Bicyclist", "Pedestrian", "SignSymbol", "TrafficLight", "Column_Pole"]
RARE += ["Fence", "LaneMkgsDriv", "Truck_Bus", "Void"]
PACK = np.array([1 << 16, 1 << 8, 1])
COMMON = ["Building", "Car", "Road", "Sidewalk", "Sky", "Tree"]


@pytest.fixture(autouse=True)
def small_set(monkeypatch):
    """Four scenes instead of the default set, and each drawn once only."""
    monkeypatch.setitem(make_demo_data.__kwdefaults__, "splits", SMALL)
    monkeypatch.setattr(demo_data, "SPLITS", SMALL)
    monkeypatch.setattr(demo_data, "render_scene", drawn_once)


drawn_once = cache(render_scene)


@pytest.fixture(scope="module")
def scenes():
    """Some of the default set by split: images and class numbers at half size."""
    splits, first = {}, 0
    for split, count in DEFAULT.items():
        indices = range(first, first + count, 8 if split == "train" else 3)
        pairs = [render_scene(0, index) for index in indices]
        images, labels = (np.array(part)[:, ::2, ::2] for part in zip(*pairs))
        splits[split] = images, class_numbers(labels)
        first += count
    return splits


def class_numbers(labels):
    """Row of the table for each pixel, -1 for a colour that is in none."""
    rows = np.full(1 << 24, -1, np.int8)
    rows[np.array(list(LABEL_COLORS.values())) @ PACK] = range(len(LABEL_COLORS))
    return rows[labels @ PACK]


def files_below(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def read_rgb(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


# Scenes


def test_a_scene_is_the_same_in_another_process():
    script = "import sys, dataset.toy_street.scene as s; image, label = s.render_scene(3, 7);"
    script += "sys.stdout.buffer.write(image.tobytes() + label.tobytes())"
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    root = Path(demo_data.__file__).parent.parent
    python = [sys.executable, "-c", script]
    there = subprocess.check_output(python, cwd=root, env=env)
    image, label = render_scene(3, 7)
    assert there == image.tobytes() + label.tobytes()


def test_scenes_differ_by_seed_and_by_index():
    pictures = [render_scene(*key)[0].tobytes() for key in ((0, 0), (0, 1), (1, 0))]
    assert len(set(pictures)) == 3


def test_image_and_label_are_8_bit_rgb_of_one_size():
    image, label = render_scene(0, 0)
    assert image.shape == label.shape == (480, 640, 3)
    assert image.dtype == label.dtype == np.uint8


def test_every_label_colour_is_a_row_of_the_table(scenes):
    for _, numbers in scenes.values():
        assert numbers.min() >= 0


def test_every_split_shows_the_same_fifteen_classes(scenes):
    names = list(LABEL_COLORS)
    for _, numbers in scenes.values():
        assert {names[number] for number in np.unique(numbers)} == {*RARE, *COMMON}


def test_rare_classes_are_rare(scenes):
    numbers = np.concatenate([numbers for _, numbers in scenes.values()])
    for name in RARE:
        share = np.mean(numbers == list(LABEL_COLORS).index(name))
        assert 0.0005 < share < 0.04, name


def test_colour_alone_does_not_give_the_class_away(scenes):
    # Nearest class-mean colour: 20 % of the pixels on the whole set. (The best
    # any table from colour to class can do there is about 60 %, and the most
    # frequent class at each place gives about as much.)
    images, numbers = scenes["train"]
    classes = np.unique(numbers)
    means = np.array([images[numbers == number].mean(axis=0) for number in classes])
    images, numbers = (part[:, ::4, ::4] for part in scenes["val"])
    distance = ((images[..., None, :] - means) ** 2).sum(axis=-1)
    accuracy = np.mean(classes[distance.argmin(axis=-1)] == numbers)
    assert accuracy < 0.4


# Files


def test_layout_is_the_books(tmp_path):
    make_demo_data(tmp_path / "demo")
    names = {str(path.as_posix()) for path in files_below(tmp_path / "demo")}
    images = {f"images/demo_{i:04d}{end}.png" for i in range(4) for end in ("", "_L")}
    pointers = {f"{split}_image_pointer" for split in ("train", "val", "test")}
    assert names == images | pointers | {"label_color"}


def test_lists_name_every_image_once(tmp_path):
    make_demo_data(tmp_path)
    pointers = [tmp_path / f"{split}_image_pointer" for split in SMALL]
    listed = [name for path in pointers for name in path.read_text().split()]
    assert listed == [f"demo_{i:04d}.png" for i in range(4)]


def test_files_hold_the_scenes(tmp_path):
    make_demo_data(tmp_path, seed=5)
    image, label = render_scene(5, 2)
    assert np.array_equal(read_rgb(tmp_path / "images/demo_0002.png"), image)
    assert np.array_equal(read_rgb(tmp_path / "images/demo_0002_L.png"), label)


def test_table_has_the_32_rows_in_alphabetical_order(tmp_path):
    make_demo_data(tmp_path)
    header, *rows = (tmp_path / "label_color").read_text().splitlines()
    names = [row.split(",")[3] for row in rows]
    assert header == "r,g,b,label"
    assert len(set(rows)) == 32 and rows[0] == "64,128,64,Animal"
    assert len({row.rsplit(",", 1)[0] for row in rows}) == 32
    assert names == sorted(names, key=str.lower)


def test_ensure_makes_the_set_once(tmp_path):
    folder = tmp_path / "data" / "demo"
    assert ensure_demo_data(folder) is True
    before = files_below(folder)
    assert ensure_demo_data(folder) is False
    assert files_below(folder) == before


@pytest.mark.parametrize(
    "lost", ["images/demo_0003_L.png", "val_image_pointer", "label_color"]
)
def test_set_that_lacks_a_file_is_left_as_it_is(tmp_path, lost):
    """The user may have edited the rest."""
    folder = tmp_path / "demo"
    ensure_demo_data(folder)
    (folder / "label_color").write_text("1,2,3,mine\n")
    (folder / lost).unlink()
    before = files_below(folder)
    with pytest.raises(UserError, match=f"{lost}: this file of the demo .* is missing"):
        ensure_demo_data(folder)
    assert files_below(folder) == before


def test_list_that_is_no_text_is_a_sentence(tmp_path):
    ensure_demo_data(tmp_path / "demo")
    pointer = tmp_path / "demo" / "val_image_pointer"
    pointer.write_bytes(pointer.read_text().encode("utf-16"))
    with pytest.raises(
        UserError, match="val_image_pointer is not a text file in UTF-8"
    ):
        ensure_demo_data(tmp_path / "demo")


def test_stopped_start_leaves_nothing(tmp_path, monkeypatch):
    def stop(seed, index):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(demo_data, "render_scene", stop)
        ensure_demo_data(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_draft_of_a_killed_start_is_cleared_when_old(tmp_path):
    old, new = tmp_path / f".demo.{'a' * 32}", tmp_path / f".demo.{'b' * 32}"
    old.mkdir()
    new.mkdir()
    yesterday = time.time() - 86400
    os.utime(old, (yesterday, yesterday))
    ensure_demo_data(tmp_path / "demo")
    assert {path.name for path in tmp_path.iterdir()} == {"demo", new.name}


def test_starts_at_once_do_not_break_each_other(tmp_path):
    folder = tmp_path / "demo"
    together = threading.Barrier(3)

    def start(_):
        together.wait()
        ensure_demo_data(folder)
        return missing_file(folder)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [None] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_another_seed_replaces_the_set_but_no_other_file(tmp_path):
    make_demo_data(tmp_path, seed=0)
    (tmp_path / "notes.txt").write_text("mine")
    make_demo_data(tmp_path, seed=1)
    image, _ = render_scene(1, 0)
    assert np.array_equal(read_rgb(tmp_path / "images/demo_0000.png"), image)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("make", [ensure_demo_data, make_demo_data])
def test_lists_of_other_images_are_not_overwritten(tmp_path, make):
    (tmp_path / "train_image_pointer").write_text("holiday.png\n")
    with pytest.raises((UserError, FileExistsError)):
        make(tmp_path)
    assert (tmp_path / "train_image_pointer").read_text() == "holiday.png\n"
    assert [path.name for path in tmp_path.iterdir()] == ["train_image_pointer"]


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError) as caught:
        ensure_demo_data(tmp_path / "file" / "demo")
    assert caught.value.filename == str(tmp_path / "file" / "demo")
    assert "the demo data cannot be written" in caught.value.strerror


def test_disk_that_fills_up_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, rgb):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(demo_data, "write_png", full)
    with pytest.raises(OSError, match="No space left") as caught:
        ensure_demo_data(tmp_path / "demo")
    assert caught.value.filename == str(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_negative_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="seed: -1 is negative"):
        make_demo_data(tmp_path, seed=-1)


def test_command_line_says_what_it_made(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "demo"
    argv = ["demo_data.py", str(folder), "--seed", "2"]
    monkeypatch.setattr(sys, "argv", argv)
    demo_data.main()
    assert str(folder) in capsys.readouterr().out
    image, _ = render_scene(2, 0)
    assert np.array_equal(read_rgb(folder / "images/demo_0000.png"), image)


def test_command_line_error_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["demo_data.py", str(tmp_path / "file" / "x")])
    with pytest.raises(SystemExit) as caught:
        run_program(demo_data.main)
    assert caught.value.code == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith(
        f"error: {tmp_path / 'file' / 'x'}: the demo data cannot"
    )
    assert sentence.count("\n") == 1
