"""LabelMe's shapes, compared with matplotlib's test of which points lie in a polygon."""

import base64
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from PIL import Image
from tiny_run import peak_memory

from dataset.label_reader import read_label
from dataset.label_table import LabelTable
from dataset.labelme import labelme_names
from files.errors import UserError

SIZE = 40, 60  # height, width
TABLE = LabelTable(
    "table",
    ("Sky", "Road", "Car"),
    np.array([(0, 0, 0), (1, 0, 0), (2, 0, 0)], np.uint8),
)
# Off the grid, so that no centre of a pixel lies on an edge.
STAR = [(30.3, 2.1), (50.7, 37.2), (5.2, 12.6), (55.1, 13.3), (10.4, 38.8)]
COMB = [(1.1, 1.2), (9.3, 30.1), (12.2, 3.7), (20.9, 39.9), (21.7, 1.3), (58.8, 20.2)]


def shape(label: str, points, kind: str = "polygon", **more) -> dict:
    return {"label": label, "points": points, "shape_type": kind, **more}


def read(tmp_path, *shapes, table=TABLE, **more) -> np.ndarray:
    content = {"version": "5.4", "flags": {}, "shapes": shapes, "imagePath": "a.jpg"}
    (tmp_path / "a.json").write_text(json.dumps(content | more))
    return read_label(str(tmp_path / "a.json"), table, SIZE)


def centres() -> np.ndarray:
    """x, y of the centres of all pixels: (H, W, 2)."""
    return np.stack(np.meshgrid(*(np.arange(side) + 0.5 for side in SIZE[::-1])), -1)


def covered(points) -> np.ndarray:
    return Polygon(points).contains_points(centres().reshape(-1, 2)).reshape(SIZE)


@pytest.mark.parametrize(
    "points", [COMB, COMB[::-1], [(-9.7, -5.1), (70.3, 9.2), (3.3, 80.4)]]
)
def test_polygon_is_what_matplotlib_says(tmp_path, points):
    label = read(tmp_path, shape("Road", points))
    expected = covered(points)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(label, np.where(expected, 1, -1))


def test_polygon_that_crosses_itself_is_filled_by_the_even_odd_rule(tmp_path):
    label = read(tmp_path, shape("Road", STAR))
    # A slow reading: count the edges to the left of each pixel's centre.
    x, y = centres()[..., 0], centres()[..., 1]
    crossings = np.zeros(SIZE, int)
    for (x0, y0), (x1, y1) in pairwise([*STAR, STAR[0]]):
        spans = (y0 > y) != (y1 > y)
        crossings += spans & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x)
    np.testing.assert_array_equal(label, np.where(crossings % 2 == 1, 1, -1))


@pytest.mark.parametrize(
    "corners", [[(5.2, 3.1), (20.9, 9.4)], [(20.9, 3.1), (5.2, 9.4)]]
)
def test_rectangle_has_its_corners_in_any_order(tmp_path, corners):
    label = read(tmp_path, shape("Car", corners, "rectangle"))
    expected = np.full(SIZE, -1)
    expected[3:9, 5:21] = 2  # rows 3.5 to 8.5, columns 5.5 to 20.5
    np.testing.assert_array_equal(label, expected)


def test_circle_has_a_centre_and_a_point_of_its_rim(tmp_path):
    label = read(tmp_path, shape("Car", [(20.2, 15.3), (20.2, 25.0)], "circle"))
    distance = np.hypot(*np.moveaxis(centres() - (20.2, 15.3), 2, 0))
    np.testing.assert_array_equal(label, np.where(distance <= 9.7, 2, -1))


@pytest.mark.parametrize("width", [None, 3])
def test_line_has_its_width(tmp_path, width):
    more = {"line_width": width} if width else {}
    label = read(tmp_path, shape("Car", [(10, 12.2), (50, 12.2)], "line", **more))
    half = (width or 10) / 2
    y = np.arange(SIZE[0]) + 0.5
    expected = np.full(SIZE, -1)
    expected[(y > 12.2 - half) & (y < 12.2 + half), 10:50] = 2
    np.testing.assert_array_equal(label, expected)


def test_slanting_line_is_a_rectangle_of_its_width(tmp_path):
    label = read(
        tmp_path,
        shape("Car", [(10.13, 5.21), (40.13, 27.71)], "linestrip", line_width=5),
    )
    # Along (4, 3) / 5, so (-3, 4) / 5 is across it.
    across = np.array((-3, 4)) / 5 * 2.5
    start, end = np.array((10.13, 5.21)), np.array((40.13, 27.71))
    expected = covered([start + across, end + across, end - across, start - across])
    np.testing.assert_array_equal(label, np.where(expected, 2, -1))


def test_point_is_a_disc_of_five_pixels(tmp_path):
    label = read(tmp_path, shape("Car", [(20.2, 15.3)], "point"))
    distance = np.hypot(*np.moveaxis(centres() - (20.2, 15.3), 2, 0))
    np.testing.assert_array_equal(label, np.where(distance <= 5, 2, -1))


def in_base64(mask: np.ndarray) -> str:
    content = io.BytesIO()
    Image.fromarray(mask).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


@pytest.mark.parametrize("white", [1, 255, True])
def test_mask_is_put_where_its_corners_are(tmp_path, white):
    """As LabelMe's own shapes_to_label has it: mask[y1 : y2 + 1, x1 : x2 + 1]."""
    inside = np.random.default_rng(0).random((6, 11)) > 0.5
    picture = in_base64(inside if white is True else np.uint8(inside * white))
    corners = [(10.0, 20.0), (20.0, 25.0)]
    label = read(tmp_path, shape("Car", corners, "mask", mask=picture))
    expected = np.full(SIZE, -1)
    expected[20:26, 10:21] = np.where(inside, 2, -1)
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize(
    ("corners", "picture", "sentence"),
    [
        ([(0, 0)], "", "a mask of 1 points; it needs 2"),
        ([(0, 0), (1, 1)], None, "not an image that can be read"),
        ([(0, 0), (60, 1)], np.ones((2, 61), np.uint8), "a mask that leaves the image"),
        ([(-1, 0), (1, 1)], np.ones((2, 3), np.uint8), "a mask that leaves the image"),
        ([(9, 9), (8, 8)], np.ones((1, 1), np.uint8), "a mask that leaves the image"),
        ([(0, 0), (1, 1)], np.ones((3, 2), np.uint8), "is not 2 x 2 pixels large"),
        ([(0, 0), (1, 1)], np.ones((1, 4), np.uint8), "is not 2 x 2 pixels large"),
        ([(0, 0), (1, 1)], "?", "is not in base64"),
        ([(0, 0), (1, 1)], "AAAA", "not an image that can be read"),
    ],
)
def test_broken_mask_is_a_sentence(tmp_path, corners, picture, sentence):
    if isinstance(picture, np.ndarray):
        picture = in_base64(picture)
    broken = shape("Car", corners, "mask", mask=picture)
    with pytest.raises(UserError, match=rf"a.json: shape 1 \('Car'\): .*{sentence}"):
        read(tmp_path, broken)
    with pytest.raises(UserError, match=sentence):
        labelme_names(str(tmp_path / "a.json"), SIZE)


def test_many_large_masks_are_refused(tmp_path):
    """A file of 15 MiB could hold a thousand, which took a minute."""
    size = (4000, 4000)
    picture = in_base64(np.zeros(size, np.uint8))
    masks = [shape("Car", [(0, 0), (3999, 3999)], "mask", mask=picture)] * 68
    (tmp_path / "a.json").write_text(json.dumps({"shapes": masks}))
    with pytest.raises(UserError, match="its shapes are too many, or too large"):
        read_label(str(tmp_path / "a.json"), TABLE, size)


def test_later_shapes_lie_over_earlier_ones(tmp_path):
    frame = [(0, 0), (60, 40)]
    road, car = shape("Road", frame, "rectangle"), shape("Car", COMB)
    expected = np.where(covered(COMB), 2, 1)
    np.testing.assert_array_equal(read(tmp_path, road, car), expected)
    assert (read(tmp_path, car, road) == 1).all()


def test_what_no_shape_covers_is_the_background_class(tmp_path):
    table = LabelTable("table", TABLE.names, TABLE.colors, background=0)
    expected = np.where(covered(COMB), 2, 0)
    np.testing.assert_array_equal(
        read(tmp_path, shape("Car", COMB), table=table), expected
    )


def test_shape_named_ignore_and_ignored_classes_do_not_count(tmp_path):
    table = LabelTable("table", TABLE.names, TABLE.colors, frozenset([2]), background=0)
    hole = [(0, 0), (9, 9)]
    label = read(
        tmp_path,
        shape("Car", COMB),
        shape("__ignore__", hole, "rectangle"),
        table=table,
    )
    expected = np.where(covered(COMB), -1, 0)
    expected[:9, :9] = -1
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize(
    "bad, message",
    [
        (shape("Tree", COMB), r"shape 1 \('Tree'\) is of no class in table"),
        (shape("Car", COMB[:2]), "a polygon of 2 points; it needs 3 or more"),
        (shape("Car", COMB, "circle"), "a circle of 6 points; it needs 2"),
        (shape("Car", [], "rectangle"), "a rectangle of 0 points"),
        (
            shape("Car", [[1, float("nan")], [2, 3]], "line"),
            r"shapes.1.points.1.2: .* finite",
        ),
        (shape("Car", [[1, float("inf")], [2, 3]], "line"), r"shapes.1.points.1.2: "),
        (shape("Car", [[1, 10**400], [2, 3]], "line"), r"shapes.1.points.1.2: "),
        (shape("Car", [[1], [2, 3]], "line"), "shapes.1.points.1.2: Field required"),
        (
            shape("Car", COMB, "ellipse"),
            "shapes.1.shape_type: Input should be 'polygon'",
        ),
        ({"points": COMB}, "shapes.1.label: Field required"),
    ],
)
def test_shape_that_cannot_be_painted_is_named(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, bad)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"shapes": 3}']
)
def test_json_that_is_not_labelmes(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(
        UserError, match="a.json: not a file of LabelMe that can be read"
    ):
        read_label(str(tmp_path / "a.json"), TABLE, SIZE)


def test_json_of_another_size_than_the_image(tmp_path):
    with pytest.raises(
        UserError, match="the label is 61 x 40 pixels, its image 60 x 40"
    ):
        read(tmp_path, imageHeight=40, imageWidth=61)


def test_shapes_that_would_take_hours_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset.labelme._MAX_WORK", 10 * SIZE[0] * SIZE[1])
    frame = [(0, 0), (60, 40)]
    many = [shape("Road", frame, "rectangle")] * 20
    with pytest.raises(UserError, match="its shapes are too many, or too large"):
        read(tmp_path, *many)


def test_large_json_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset.labelme.MAX_BYTES", 50)
    with pytest.raises(UserError, match="save it without the image in it"):
        read(tmp_path, shape("Road", COMB))


@pytest.mark.parametrize(
    "shapes, problem",
    [
        (b'{"label":"Car","points":[' + b"[1,2]," * 300_000, "262,144 points"),
        (b'{"label":"Car","points":[' + b"{}," * 700_000, "shapes.1.points.1"),
        (b"{}," * 700_000, "shapes.1.label"),
    ],
)
def test_json_of_very_many_points_or_faults_takes_little_memory(
    tmp_path, shapes, problem
):
    """1.5 million points took 400 MB, as many faults 4 GB, in each of several threads."""
    path = tmp_path / "a.json"
    end = b"]}]}" if b"points" in shapes else b"]}"
    path.write_bytes(b'{"shapes":[' + shapes[:-1] + end)
    message, memory = peak_memory(refusal_of, str(path))
    assert problem in message
    assert memory < 100


def refusal_of(path: str) -> str:
    with pytest.raises(UserError) as caught:
        read_label(path, TABLE, SIZE)
    return str(caught.value)
