import chainer_compat

import numpy as np
import pytest
from PIL import Image

from dataset.label_reader import read_label
from dataset.label_table import LabelTable, read_label_table
from files.errors import UserError
from preparing.class_names import find_class_names
from preparing.label_survey import classes_of, survey_labels

CLASSES = np.array([[0, 1], [1, 1]], np.uint8)
COLORS = np.array([[0, 0, 9], [7, 0, 0]], np.uint8)


def survey(folder, name, save):
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    save(folder / name)
    return survey_labels(str(folder), [("a.png", name)])


def one_bit(path):
    Image.fromarray(CLASSES.astype(bool)).save(path)


def book(path):
    np.savez(path, data=CLASSES.astype(np.int32))


def grey(values):
    return lambda path: Image.fromarray(np.array(values, np.uint8)).save(path)


def palette(values, colors):
    def save(path):
        picture = Image.fromarray(np.array(values, np.uint8))
        picture.putpalette(colors)
        picture.save(path)

    return save


def colored(path):
    Image.fromarray(COLORS[CLASSES]).save(path)


@pytest.mark.parametrize(
    ("name", "save", "kind", "names", "expected"),
    [
        ("l.png", one_bit, "numbers", ["class 0", "class 1"], CLASSES),
        ("l_L.npz", book, "numbers", ["class 0", "class 1"], CLASSES),
        (
            *("l.png", grey([[0, 128], [255, 0]]), "numbers"),
            *(["grey 0", "grey 128", "grey 255"], [[0, 1], [2, 0]]),
        ),
        (
            *("l.png", grey([[0, 255], [255, 0]]), "numbers"),
            *(["background", "foreground"], [[0, 1], [1, 0]]),
        ),
        # 255 beside small numbers does not count.
        (
            *("l.png", grey([[0, 2], [255, 1]]), "numbers"),
            *(["class 0", "class 1", "class 2"], [[0, 2], [-1, 1]]),
        ),
        (
            *("l.png", palette([[0, 1], [1, 0]], [9, 9, 9, 8, 0, 0]), "palette"),
            *(["class 0", "class 1"], [[0, 1], [1, 0]]),
        ),
        ("l.png", colored, "colours", ["class 0", "class 1"], CLASSES),
    ],
)
def test_table_made_for_labels_reads_them(tmp_path, name, save, kind, names, expected):
    found = survey(tmp_path, name, save)
    rows, keys = classes_of(found, [], None)

    assert found.kind == kind
    assert [row[3] for row in rows] == names
    colors = np.array([row[:3] for row in rows], np.uint8)
    values = keys.get("label_values", "class_numbers")
    table = LabelTable("t", tuple(names), colors, label_values=values)
    label = read_label(str(tmp_path / name), table, (2, 2))
    np.testing.assert_array_equal(label, expected)


def test_colours_of_a_palette_are_those_of_the_classes(tmp_path):
    save = palette([[0, 1], [1, 0]], [9, 9, 9, 8, 0, 0])
    rows, _ = classes_of(survey(tmp_path, "l.png", save), [], None)
    assert rows == [(9, 9, 9, "class 0"), (8, 0, 0, "class 1")]


def test_palette_with_fewer_colours_than_indices(tmp_path):
    save = palette([[0, 7], [0, 0]], [9] * 15)  # five colours: 4 bits a pixel
    with pytest.raises(UserError, match="the number 7, but its palette has only 5"):
        survey(tmp_path, "l.png", save)


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "label_color"
    path.write_text("r,g,b,label\n7,0,0,car\n0,0,9,sky\n1,1,1,void\n")
    return read_label_table(str(path))


@pytest.mark.parametrize("save", [colored, one_bit])
def test_table_of_the_folder_gives_rows_and_names(tmp_path, given, save):
    rows, keys = classes_of(survey(tmp_path, "l.png", save), [], given)
    assert rows == [(7, 0, 0, "car"), (0, 0, 9, "sky"), (1, 1, 1, "void")]
    assert keys == {"ignore_labels": ["void"]}


def test_one_number_outside_the_table_of_the_folder_does_not_count(tmp_path, given):
    found = survey(tmp_path, "l.png", grey([[0, 1], [11, 2]]))
    _, keys = classes_of(found, [], given)
    assert keys["ignore_index"] == 11


def test_colour_in_no_row_of_the_table_of_the_folder(tmp_path, given):
    found = survey(tmp_path, "l.png", lambda path: Image.new("RGB", (2, 2)).save(path))
    with pytest.raises(UserError, match=r"4 pixels of the colour \(0, 0, 0\)"):
        classes_of(found, [], given)


def test_numbers_outside_the_table_of_the_folder(tmp_path, given):
    found = survey(tmp_path, "l.png", grey([[0, 5], [6, 2]]))
    with pytest.raises(UserError, match=r"has 3 rows, but .* \[5, 6\]"):
        classes_of(found, [], given)


@pytest.mark.parametrize(
    ("file", "content", "save", "expected"),
    [
        (
            *("labelmap.txt", "# label:color_rgb:parts:actions\nsky:0,0,9::\n"),
            *(colored, ["sky", "class 1"]),
        ),
        (
            *("class_dict.csv", "name,r,g,b\nroad, 7, 0, 0\nsky,0,0,9\n"),
            *(colored, ["sky", "road"]),
        ),
        # Roboflow's, beside the photos.
        (
            *("train/_classes.csv", "Pixel Value, Class\n0, background\n1, leaf\n"),
            *(one_bit, ["background", "leaf"]),
        ),
        # Numbers that are rows of a table of colours.
        (
            *("class_dict.csv", "name,r,g,b\nsky,1,2,3\nroad,4,5,6\n"),
            *(one_bit, ["sky", "road"]),
        ),
        # LabelMe's and PaddleSeg's: a name a line, from 0.
        (
            *("set/class_names.txt", "__ignore__\n_background_\ndog\n"),
            *(one_bit, ["_background_", "dog"]),
        ),
        # It may leave the background out, so that 0 is another class.
        ("labels.txt", "cat\ndog\n", one_bit, None),
        # nnU-Net's, and its first version's.
        (
            *("dataset.json", '{"labels": {"road": 1, "field": 0, "a": [1, 2]}}'),
            *(one_bit, ["field", "road"]),
        ),
        (
            *("d/dataset.json", '{"labels": {"0": "field", "1": "road"}}'),
            *(one_bit, ["field", "road"]),
        ),
        # Mapillary's.
        (
            *("config.json", '{"labels": [{"readable": "Bird"}, {"readable": "Bee"}]}'),
            *(one_bit, ["Bird", "Bee"]),
        ),
        *(
            ("dataset.json", content, one_bit, None)
            for content in ("{", "[" * 5000, "[]", '{"labels": 3}', '{"labels": [3]}')
        ),
        (
            *("a/b/label_class_dict.csv", "name,r,g,b\nsky,0,0,9\nsea,7,0,0\n"),
            *(colored, ["sky", "sea"]),
        ),
        # A name that stands for two colours is none.
        ("class_dict.csv", "name,r,g,b\na,7,0,0\na,0,0,9\n", colored, None),
    ],
)
def test_names_of_a_data_sets_own_table(tmp_path, file, content, save, expected):
    found = survey(tmp_path, "l.png", save)
    (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / file).write_text(content)
    rows, _ = classes_of(found, [], None, find_class_names(str(tmp_path)))
    assert [row[3] for row in rows] == (expected or ["class 0", "class 1"])
