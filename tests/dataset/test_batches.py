"""How images of different sizes are spread over batches."""

import numpy as np
import pytest

from dataset.batches import alike, crop_line


def example(height: int, width: int):
    return np.zeros((3, height, width), np.float32), np.zeros((height, width), np.int32)


def shapes(parts) -> list[list[tuple[int, int]]]:
    return [[label.shape for _, label in part] for part in parts]


def test_images_of_one_size_stay_one_batch(small_data):
    small_data.load()
    batch = [example(32, 48)] * 7
    assert alike(batch) == [batch]


def test_images_of_different_sizes_become_a_batch_each(small_data):
    small_data.load()
    parts = alike([example(32, 48), example(64, 48), None, example(32, 48)])
    assert shapes(parts) == [[(32, 48)] * 2, [(64, 48)]]


def test_whole_images_have_no_more_pixels_than_a_training_batch(small_data):
    small_data.load(crop_size=[32, 32], training_params={"batch_size": 4})
    parts = alike([example(32, 64)] * 3 + [example(128, 128)])
    assert shapes(parts) == [[(32, 64)] * 2, [(32, 64)], [(128, 128)]]


def test_batch_without_images_stays_one(small_data):
    small_data.load()
    assert alike([None, None]) == [[]]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(250, 330), (250, 330), (520, 696)], "[240, 320]"),
        ([(64, 100), (100, 64), (80, 80)], "[80, 80]"),
        ([(9, 12), (10, 12)], "[16, 16]"),
    ],
)
def test_proposed_window_is_the_median_size_but_not_too_large(
    small_data, sizes, expected
):
    small_data.load()
    assert crop_line(sizes) == f"crop_size: {expected}"
