"""Pictures of classes: exact colours, complete legends."""

import numpy as np
import pytest

from dataset.label_table import LabelTable
from evaluation import panels
from files.opencv import cv2

TABLE = LabelTable(
    "table",
    ("Sky", "Road", "道路 $x$", "a name of a class that is much longer than any other"),
    np.array([(10, 20, 30), (200, 100, 0), (0, 0, 255), (9, 9, 9)], np.uint8),
)
RED = (214, 39, 40)


def read_rgb(path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def pixels_of(picture: np.ndarray, color) -> int:
    return int((picture == np.array(color)).all(axis=2).sum())


def test_wrong_pixels_are_red():
    truth = np.array([[0, 1, -1]])
    prediction = np.array([[0, 0, 2]])
    photo = np.array([[[0, 0, 0], [255, 255, 255], [255, 255, 255]]], np.uint8)
    right, wrong, _ = panels.mistakes(photo, truth, prediction)[0]
    assert right.tolist() == [150, 150, 150]
    assert tuple(wrong) == RED


@pytest.mark.parametrize("side", [40, 400])
def test_what_is_unlabelled_is_hatched_and_nothing_else(side):
    truth = np.zeros((side, side), int)
    truth[:, side // 2 :] = -1
    photo = np.full((side, side, 3), 50, np.uint8)
    for picture in (
        TABLE.colors_of_classes(truth),
        panels.mistakes(photo, truth, np.zeros_like(truth)),
    ):
        left, right = np.split(picture, 2, axis=1)
        assert len(np.unique(left.reshape(-1, 3), axis=0)) == 1
        shares = [
            pixels_of(right, (level,) * 3) / (side * side / 2) for level in (150, 235)
        ]
        assert shares == pytest.approx([0.5, 0.5], abs=0.06)


def test_hatched_field_in_the_legend_stands_for_unlabelled(tmp_path):
    panels.draw_legend(str(tmp_path / "l.png"), {-1, 0}, TABLE)
    legend = read_rgb(tmp_path / "l.png")
    assert pixels_of(legend, (235, 235, 235)) >= 40
    panels.draw_legend(str(tmp_path / "l.png"), {0}, TABLE)
    assert pixels_of(read_rgb(tmp_path / "l.png"), (235, 235, 235)) < 10


def test_overlay_is_half_photo_half_colours():
    photo = np.full((1, 1, 3), 100, np.uint8)
    colors = np.array([[[200, 0, 50]]], np.uint8)
    assert panels.overlay(photo, colors).tolist() == [[[150, 50, 75]]]
    assert panels.overlay(photo[..., :1], colors).tolist() == [[[150, 50, 75]]]


def test_panels_show_each_pixel_as_a_square_in_the_tables_colour(tmp_path):
    truth = np.array([[0, 1], [1, 1]]).repeat(60, axis=0).repeat(60, axis=1)
    photo = np.full((120, 120, 3), 77, np.uint8)
    row = panels.comparison_row("t", photo, truth, truth, TABLE)
    panels.draw_rows(str(tmp_path / "p.png"), "T", panels.HEADINGS, [row], TABLE)
    picture = read_rgb(tmp_path / "p.png")
    # Truth and prediction, enlarged 3 times, and a swatch of at least 10 x 10 pixels.
    assert pixels_of(picture, (10, 20, 30)) >= 2 * 180 * 180 + 100
    assert pixels_of(picture, (200, 100, 0)) >= 2 * 3 * 180 * 180 + 100


def test_legend_has_all_classes_that_occur_and_no_other(tmp_path):
    truth = np.array([[0, -1]])
    prediction = np.array([[2, 2]])
    row = panels.comparison_row(
        "t", np.zeros((1, 2, 3), np.uint8), truth, prediction, TABLE
    )
    assert row.classes == {-1, 0, 2}
    panels.draw_legend(str(tmp_path / "l.png"), {0, 2}, TABLE)
    legend = read_rgb(tmp_path / "l.png")
    assert pixels_of(legend, (10, 20, 30)) >= 100
    assert pixels_of(legend, (0, 0, 255)) >= 100
    assert pixels_of(legend, (200, 100, 0)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (900, 30)])
def test_pictures_of_any_shape_fit_on_the_sheet(tmp_path, shape):
    classes = np.zeros(shape, int)
    photo = np.zeros((*shape, 1), np.uint8)
    row = panels.comparison_row("x" * 300, photo, classes, classes, TABLE)
    panels.draw_rows(str(tmp_path / "p.png"), "T", panels.HEADINGS, [row, row], TABLE)
    picture = read_rgb(tmp_path / "p.png")
    border = [picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]]
    assert all((edge == 255).all() for edge in border)
