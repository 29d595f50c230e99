import numpy as np
import pytest
from conftest import write_picture

from dataset.image_reader import read_image
from files.errors import UserError
from files.opencv import cv2


def test_colours_come_as_rgb(tmp_path):
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    write_picture(tmp_path / "a.png", rgb)
    assert read_image(str(tmp_path / "a.png"), 3).tolist() == rgb.tolist()


def test_grey_image_keeps_a_channel_axis(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
    assert read_image(str(tmp_path / "a.png"), 1).shape == (2, 3, 1)


def test_alpha_is_dropped(tmp_path):
    bgra = np.array([[[3, 2, 1, 77]]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    assert read_image(str(tmp_path / "a.png"), 3).tolist() == [[[1, 2, 3]]]


def test_16_bits_become_8(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 257, 65535]], np.uint16))
    assert read_image(str(tmp_path / "a.png"), 1).ravel().tolist() == [0, 1, 255]


def test_grey_photo_becomes_a_colour_where_colours_are_wanted(tmp_path):
    write_picture(tmp_path / "a.png", np.array([[0, 9]], np.uint8))
    assert read_image(str(tmp_path / "a.png"), 3).tolist() == [[[0] * 3, [9] * 3]]


def test_colour_photo_becomes_grey_where_grey_is_wanted(tmp_path):
    write_picture(tmp_path / "a.png", np.array([[[200, 100, 50]]], np.uint8))
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert read_image(str(tmp_path / "a.png"), 1).tolist() == [[[luma]]]


@pytest.mark.parametrize(
    "levels, expected",
    [
        ([0, 16, 4095], [0, 1, 255]),  # 12 bits: 16 levels become one
        ([0, 512, 1023], [0, 128, 255]),  # 10 bits
        ([0, 3, 255], [0, 3, 255]),  # 8 bits in a file of 16
        ([0, 64, 16383], [0, 1, 255]),  # 14 bits
    ],
)
def test_16_bits_that_are_not_filled_do_not_become_black(tmp_path, levels, expected):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([levels], np.uint16))
    assert read_image(str(tmp_path / "a.png"), 1).ravel().tolist() == expected


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_image_that_does_not_decode(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="a.png: not an image that can be read"):
        read_image(str(tmp_path / "a.png"), 3)


def test_missing_image(tmp_path):
    with pytest.raises(UserError, match="a.png: no such image file"):
        read_image(str(tmp_path / "a.png"), 3)
