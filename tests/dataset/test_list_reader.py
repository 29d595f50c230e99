import re

import pytest

from dataset import list_reader
from dataset.list_reader import ImageList, read_list
from files.errors import UserError


def test_names_come_one_a_line_without_blank_ones(tmp_path):
    (tmp_path / "list").write_bytes("\ufeffa.png\r\n\n sub/b.png \n道.png".encode())
    assert read_list(tmp_path / "list").images == ["a.png", "sub/b.png", "道.png"]


def test_missing_list_names_the_key(tmp_path):
    with pytest.raises(
        UserError, match="val_image_pointer: cannot read .*: No such file"
    ):
        read_list(tmp_path / "list", "val_image_pointer")


def test_empty_list(tmp_path):
    (tmp_path / "list").write_text("\n \n")
    with pytest.raises(UserError, match="is empty"):
        read_list(tmp_path / "list")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.png", ".."]
)
def test_name_that_leaves_the_folder(tmp_path, name):
    (tmp_path / "list").write_text(f"a.png\n{name}\n")
    with pytest.raises(UserError, match="line 2: .* leaves the image folder"):
        read_list(tmp_path / "list")


def columns(tmp_path, text: str):
    (tmp_path / "list").write_text(text)
    return read_list(tmp_path / "list")


def test_list_of_images_alone_has_no_labels(tmp_path):
    assert columns(tmp_path, "a.png\nb.png\n").labels == []


@pytest.mark.parametrize(
    "line, image, label",
    [
        ("my photo.png\tits label.png", "my photo.png", "its label.png"),
        ("train/a.png trainannot/a.png", "train/a.png", "trainannot/a.png"),
        ("a.jpg   b.json", "a.jpg", "b.json"),
        ("JPEGImages/a SegmentationClass/a", "JPEGImages/a", "SegmentationClass/a"),
        ("a\tb", "a", "b"),
    ],
)
def test_image_and_label_in_a_line(tmp_path, line, image, label):
    assert columns(tmp_path, f"{line}\n") == ([image], [label])


@pytest.mark.parametrize("name", ["my photo.png", "photo 1", "my own photo.jpg"])
def test_name_with_blanks_is_one_name(tmp_path, name):
    assert columns(tmp_path, name) == ([name], [])


def test_lines_with_and_without_a_label_mix(tmp_path):
    found = columns(tmp_path, "a.png\nb.png\tc.png\nd.png\n")
    assert found == (["a.png", "b.png", "d.png"], [None, "c.png", None])


def test_comments_are_skipped(tmp_path):
    assert columns(tmp_path, "# the first drive\na.png\n  # b.png\n").images == [
        "a.png"
    ]


@pytest.mark.parametrize(
    "line, message",
    [
        ("a.png b.png c.png", "line 2: 3 columns; write an image, or an image and its"),
        ("a.png\tb.png\tc.png", "line 2: 3 columns"),
        ("a.png\t../b.png", "line 2: '../b.png' leaves the image folder"),
        ("a.png /b.png", "line 2: '/b.png' leaves the image folder"),
        ("a.png\t\tb.png", "line 2: 3 columns"),
    ],
)
def test_line_that_is_no_pair_is_named(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        columns(tmp_path, f"x.png\n{line}\n")


def test_long_lists_are_looked_up_folder_by_folder(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    (tmp_path / "folder.png").mkdir()
    for name in (
        "a.png",
        "a_L.png",
        "b/c.jpg",
        "b/c_L.png",
        "d.png",
        "d.json",
        "e.png",
    ):
        (tmp_path / name).touch()
    images = ["a.png", "b/c.jpg", "d.png", "a", "e.png", "folder.png", "no/f.png"]
    labels = [None, None, None, None, "d.json", "a_L.png", None]
    names = ImageList(images, labels)
    assert list(names.unsure(str(tmp_path))) == list(range(7))
    monkeypatch.setattr(list_reader, "_SHORT", 0)
    assert [images[i] for i in names.unsure(str(tmp_path))] == [
        "d.png",  # its label is LabelMe's
        "a",  # without an ending
        "folder.png",
        "no/f.png",
    ]


def test_plain_lines_are_read_as_all_others(tmp_path, monkeypatch):
    lines = """
    a.png
    f/a-b_1.x.png
    f/g/a.png\tl/a_L.png
    ../a.png
    f/../../a.png
    /a.png
    .a.png
    f/.a.png
    f//a.png
    my photo.png
    a.png b.png
    a.png\tb.png\tc.png
    a.png\t
    # a.png
    空.png\t空_L.png
    C:a.png
    """
    found = {}
    for way in ("as it is", "without the short way"):
        for number, line in enumerate(lines.replace("\n    ", "\n").split("\n")):
            path = tmp_path / "list"
            path.write_text(f"first.png\n{line}\n last.png \tlast_L.png\n")
            try:
                answer = read_list(str(path))
            except UserError as error:
                answer = str(error)
            found.setdefault(number, []).append(answer)
        monkeypatch.setattr(list_reader, "_PLAIN_LINE", re.compile("(?!)"))
    assert len(found) > 10
    for answers in found.values():
        assert answers[0] == answers[1]
