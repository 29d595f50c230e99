import numpy as np
import pytest

from dataset.label_table import read_label_table
from files.errors import UserError

BOOK = "r,g,b,label\n128,128,128,Sky\n128,64,128,Road\n0,0,0,Void\n"
CAMSEQ01 = "128 128 128\tSky\n128 64 128\tRoad\n0 0 0\t\tVoid\n"


def table_of(tmp_path, text: str, ignore_labels=()):
    (tmp_path / "table").write_text(text, encoding="utf-8")
    return read_label_table(tmp_path / "table", ignore_labels)


@pytest.mark.parametrize(
    "text", [BOOK, CAMSEQ01, "\ufeff" + BOOK, BOOK.replace("\n", "\r\n\r\n")]
)
def test_both_formats_are_read(tmp_path, text):
    table = table_of(tmp_path, text)
    assert table.names == ("Sky", "Road", "Void")
    assert table.colors.tolist() == [[128, 128, 128], [128, 64, 128], [0, 0, 0]]


def test_class_names_may_hold_spaces_and_any_letters(tmp_path):
    assert table_of(tmp_path, "1 2 3\tTraffic light\n4,5,6,歩行者\n").names == (
        "Traffic light",
        "歩行者",
    )


def test_a_class_named_label_is_a_row(tmp_path):
    assert table_of(tmp_path, "1,2,3,label\n").names == ("label",)


def test_colours_become_row_numbers_and_come_back(tmp_path):
    table = table_of(tmp_path, BOOK)
    classes = np.array([[0, 1, 2], [2, 1, 0]])
    found, unknown = table.classes_of_colors(table.colors_of_classes(classes))
    assert found.tolist() == classes.tolist() and unknown == {}


def test_ignored_class_becomes_minus_one(tmp_path):
    table = table_of(tmp_path, BOOK, ["Road"])
    found, _ = table.classes_of_colors(table.colors[None])
    assert found.tolist() == [[0, -1, 2]]
    assert table.hide_ignored(np.array([-1, 0, 1, 2])).tolist() == [-1, 0, -1, 2]


def test_colours_of_no_row_are_counted(tmp_path):
    picture = np.array([[[128, 64, 128], [1, 2, 3], [1, 2, 3], [255, 0, 9]]], np.uint8)
    _, unknown = table_of(tmp_path, BOOK).classes_of_colors(picture)
    assert unknown == {(1, 2, 3): 2, (255, 0, 9): 1}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the label table has no row"),
        ("r,g,b,label\n", "the label table has no row"),
        (BOOK + "300,0,0,Car\n", "line 5: '300,0,0,Car' is no row"),
        (BOOK + "1,2,Car\n", "line 5: '1,2,Car' is no row"),
        (
            BOOK + "128,64,128,Car\n",
            r"line 5: the colour \(128, 64, 128\) stands in line 3 already",
        ),
        (BOOK + "1,2,3,Sky\n", "line 5: the class name Sky stands in line 2 already"),
    ],
)
def test_wrong_table_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        table_of(tmp_path, text)


def test_binary_file_is_no_table(tmp_path):
    (tmp_path / "table").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match="not a text file"):
        read_label_table(tmp_path / "table")


def test_ignoring_every_class_leaves_nothing_to_learn(tmp_path):
    with pytest.raises(UserError, match="nothing is left to learn"):
        table_of(tmp_path, BOOK, ["Sky", "Road", "Void"])
