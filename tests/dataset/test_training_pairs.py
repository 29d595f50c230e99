"""Windows of crop_size, beside an independent slow cut with NumPy alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from config import AugmentationParams
from dataset.epoch_order import Draw
from dataset.training_pairs import TrainingPairs
from image_normalizer import make_normalizer

TO_FLOAT = np.float32  # a normaliser that leaves the values as they are


def coordinates(height: int, width: int):
    """Row and column of each pixel, in the image's channels and as one number in the label."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns], axis=2).astype(np.uint8)
    return image, (rows * width + columns).astype(np.int16)


def windows(
    pair, crop_size, count, normalize=TO_FLOAT, half_size_epochs=0, **augmentation
):
    """The windows of so many epochs; without a crop_size, whole images."""
    # All other keys are off by default.
    settings = {"do_flip": False, "flips": "left_right", **augmentation}
    params = SimpleNamespace(**AugmentationParams(**settings).model_dump())
    aug_params = SimpleNamespace(do_augment=True, params=params)
    training_params = SimpleNamespace(half_size_epochs=half_size_epochs)
    args = SimpleNamespace(
        seed=3,
        crop_size=crop_size,
        aug_params=aug_params,
        training_params=training_params,
    )
    training = TrainingPairs(args, 16, normalize)
    draws = (Draw(epoch, 0, 0, 0) for epoch in range(1, count + 1))
    return [training.example(*pair, draw) for draw in draws]


def slow_cut(image, label, top, left, size):
    """The window whose corner is the image's pixel (top, left), which may lie outside of it."""
    height, width = label.shape
    cut = np.empty((*size, image.shape[2]), image.dtype)
    classes = np.full(size, -1, np.int16)
    for y in range(size[0]):
        for x in range(size[1]):
            row, column = top + y, left + x
            if 0 <= row < height and 0 <= column < width:
                classes[y, x] = label[row, column]
            # Mirrored at the middle of the first and of the last pixel.
            row = np.pad(np.arange(height), 99, "reflect")[row + 99]
            column = np.pad(np.arange(width), 99, "reflect")[column + 99]
            cut[y, x] = image[row, column]
    return cut, classes


@pytest.mark.parametrize("size", [(40, 50), (20, 50), (40, 24), (7, 9)], ids=str)
def test_window_is_a_cut_of_image_and_label_together(size):
    pair = coordinates(*size)
    for image, label in windows(pair, [32, 32], 4):
        y, x = np.argwhere(label >= 0)[0]
        top, left = (int(p) for p in divmod(label[y, x], size[1]))
        expected = slow_cut(*pair, top - y, left - x, (32, 32))
        np.testing.assert_array_equal(image, expected[0])
        np.testing.assert_array_equal(label, expected[1])


def test_first_epochs_see_the_mean_of_each_2_x_2_pixels():
    """The means are written out with NumPy; a crop to multiples of 16 cuts nothing here."""
    rows, columns = np.mgrid[:64, :96]
    image = np.stack([rows * 4, columns * 2], axis=2).astype(np.uint8)
    label = (rows // 2 * 48 + columns // 2).astype(np.int16)
    means = image.reshape(32, 2, 48, 2, 2).mean(axis=(1, 3))
    first, second, third = windows((image, label), None, 3, half_size_epochs=2)
    for half_image, half_label in (first, second):
        assert np.abs(half_image - means).max() <= 0.5
        np.testing.assert_array_equal(half_label, label[::2, ::2])
    np.testing.assert_array_equal(third[0], image)


def test_windows_of_the_first_epochs_are_half_as_large_in_multiples():
    made = windows(coordinates(100, 120), [48, 80], 2, half_size_epochs=1)
    assert [label.shape for _, label in made] == [(16, 32), (48, 80)]


def test_windows_reach_every_place():
    pair = coordinates(36, 40)
    corners = {tuple(image[0, 0]) for image, _ in windows(pair, [32, 32], 400)}
    assert corners == {(row, column) for row in range(5) for column in range(9)}


def test_small_image_lies_anywhere_in_its_window():
    pair = coordinates(30, 16)
    places = {
        tuple(np.argwhere(label >= 0)[0]) for _, label in windows(pair, [32, 16], 60)
    }
    assert places == {(0, 0), (1, 0), (2, 0)}


@pytest.mark.parametrize("normalizer", ["GCN", "LCN"])
@pytest.mark.parametrize("size", [(60, 70), (20, 24)], ids=str)
def test_pixels_have_the_values_of_the_whole_image_whatever_the_padding(
    normalizer, size
):
    _, label = coordinates(*size)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    normalize = make_normalizer(normalizer)
    whole = normalize(image)
    for window, classes in windows((image, label), [32, 32], 3, normalize):
        seen = classes >= 0
        rows, columns = np.divmod(classes[seen], size[1])
        np.testing.assert_array_equal(window[seen], whole[rows, columns])


def test_light_changes_the_whole_image_which_the_normaliser_undoes():
    image = np.random.default_rng(0).integers(90, 110, (40, 50, 3), np.uint8)
    pair = image, coordinates(40, 50)[1]
    light = {"color_gain": [2, 2], "color_offset": 0}  # 180 to 220: nothing is clipped
    lit = windows(pair, [32, 32], 4, **light)
    gcn = make_normalizer("GCN")
    normalized = windows(pair, [32, 32], 4, gcn, **light)
    for (window, classes), (values, same) in zip(lit, normalized, strict=True):
        rows, columns = np.divmod(classes, 50)
        np.testing.assert_array_equal(window, image[rows, columns] * 2.0)
        np.testing.assert_array_equal(same, classes)
        expected = gcn(image)[rows, columns]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("key", ["zoom", "scale"])
def test_zoom_and_scale_come_before_the_window(key):
    """At twice the size, the first and the last of 32 pixels are 15.5 apart in the image."""
    value = {"zoom": [2, 2]} if key == "zoom" else {"scale": [2], "do_scale": True}
    steps = set()
    for image, label in windows(coordinates(40, 50), [32, 32], 12, **value):
        assert (label >= 0).all()
        steps.add(float(np.ptp(image[..., 0])) > 16)
    assert steps == ({False} if key == "zoom" else {False, True})


def test_flips_mirror_windows_with_their_labels():
    image, label = coordinates(40, 50)
    directions = set()
    for window, classes in windows((image, label), [32, 32], 12, do_flip=True):
        rows, columns = np.divmod(classes, 50)
        np.testing.assert_array_equal(window, image[rows, columns])
        directions.add(int(columns[0, 1] - columns[0, 0]))
    assert directions == {1, -1}
