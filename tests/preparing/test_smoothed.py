"""Colours of classes in labels that were changed, and labels that were not."""

import io
from collections import Counter

import numpy as np
from PIL import Image

from preparing.smoothed import class_colors

COLORS = np.array([[0, 0, 0], [250, 250, 0], [0, 100, 200]], np.uint8)


def discs(count: int = 3) -> np.ndarray:
    """uint8 (200, 200): a disc of each class but 0, in a row."""
    y, x = np.mgrid[:200, :200]
    label = np.zeros((200, 200), np.uint8)
    for number in range(1, count):
        centre = 200 * number / count
        label[(y - 100) ** 2 + (x - centre) ** 2 < (80 / count) ** 2] = number
    return label


def counted(picture: np.ndarray) -> Counter:
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    return Counter(map(tuple, picture.reshape(-1, 3).tolist()))


def smoothed(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((120, 120), Image.BICUBIC))


def as_jpeg(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def test_classes_of_a_jpeg_are_those_that_were_drawn():
    found = class_colors(counted(as_jpeg(COLORS[discs()])), is_jpeg=True)
    assert np.abs(np.array(found) - sorted(COLORS.tolist())).max() <= 3


def test_smoothed_masks_have_two_classes():
    found = class_colors(counted(smoothed(discs(2) * 255)), is_jpeg=False)
    assert found == [(0, 0, 0), (255, 255, 255)]


def test_sharp_labels_look_unchanged():
    for picture in (
        COLORS[discs()],
        discs(21),  # numbers of many classes
        np.where(discs(21) == 20, 255, discs(21)),  # and those of no class
        discs(26) * 10,  # grey levels
    ):
        assert class_colors(counted(picture), is_jpeg=False) is None


def test_photo_has_no_colours_of_classes():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    assert class_colors(counted(noise), is_jpeg=True) is None


def test_numbers_of_classes_cannot_be_told_apart_in_a_jpeg():
    assert class_colors(counted(as_jpeg(discs())), is_jpeg=True) is None
