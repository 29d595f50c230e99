"""What prepare.py does with folders that nobody has made on purpose, or somebody for an attack."""

import json
import os
import sys

import pytest
from labelled_folders import COUNT, bowl, labelme, run

from dataset.label_table import read_label_table
from files.errors import UserError
from preparing.file_names import list_files
from preparing.pair_finder import find_pairs
from preparing.splits import read_groups

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
# An end of line that str.splitlines() knows, a blank that str.strip() takes away.
_BAD_NAMES = ["", " car", "car ", "a\u2028b", "a\x1b[2J"]


@needs_pipes
def test_pipe_in_the_place_of_a_labelme_file_is_not_waited_for(tmp_path):
    labelme(tmp_path / "data")
    (tmp_path / "data/0.json").unlink()
    os.mkfifo(tmp_path / "data/0.json")
    with pytest.raises(UserError, match="0.json is a folder, pipe or device"):
        run(tmp_path / "data")


@needs_pipes
def test_pipe_that_belongs_to_no_photo_is_not_waited_for(tmp_path):
    bowl(tmp_path / "data")
    os.mkfifo(tmp_path / "data/masks/other.json")
    assert run(tmp_path / "data").exists()


@pytest.mark.parametrize("name", _BAD_NAMES)
def test_shape_whose_name_no_table_can_hold(tmp_path, name):
    labelme(tmp_path / "data")
    rename_shape(tmp_path / "data/3.json", name)
    with pytest.raises(UserError, match="cannot stand in a table of classes"):
        run(tmp_path / "data")
    assert not (tmp_path / "my.yaml").exists()


@pytest.mark.parametrize("name", ['a,b"', "#1", "a b", "車", "1"])
def test_unusual_name_of_a_shape_is_read_back(tmp_path, name):
    labelme(tmp_path / "data")
    rename_shape(tmp_path / "data/3.json", name)
    run(tmp_path / "data")
    table = read_label_table(tmp_path / "my_lists/label_color")
    assert set(table.names) == {"background", "car", name}


def rename_shape(path, name):
    content = json.loads(path.read_text())
    content["shapes"][0]["label"] = name
    path.write_text(json.dumps(content))


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("name", ["#1.png", " 1.png", "\u30001.png"])
def test_photo_whose_name_no_list_can_hold(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="a list of images cannot hold; rename it"):
        list(list_files(str(tmp_path)))


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter there")
def test_folders_in_each_other_deeper_than_pythons_recursion(tmp_path, monkeypatch):
    (tmp_path / "photo.png").touch()
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    assert [file.name for file in list_files(str(tmp_path))] == ["photo.png"]
    for _ in range(1200):  # shutil.rmtree(), by which pytest cleans up, recurses
        os.chdir("..")
        os.rmdir("d")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_looked_into_once(tmp_path):
    bowl(tmp_path / "elsewhere")
    data = tmp_path / "data"
    data.mkdir()
    for name in ("images", "masks"):
        (data / name).symlink_to(tmp_path / "elsewhere" / name)
    for n in range(100):
        (data / f"loop{n}").symlink_to(data)
    (data / "nowhere").symlink_to(tmp_path / "nowhere")
    found = find_pairs(str(data))
    assert found.pairs == [(f"images/{n}.png", f"masks/{n}.png") for n in range(COUNT)]
    run(data)


def test_image_in_two_groups_is_named(tmp_path):
    path = tmp_path / "groups"
    path.write_text("1.png\ta\n2.png\tb\n1.png\tb\n")
    with pytest.raises(UserError, match="line 3: 1.png is in the group a already"):
        read_groups(str(path), [("1.png", "1.png"), ("2.png", "2.png")])
