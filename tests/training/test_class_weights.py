import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import COLORS, write_picture

from mini_batch_loader import DatasetPreProcessor
from training import class_weights
from training.class_weights import count_class_weights, rarity_weights
from training.data_summary import spread_out


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1, [1, 0.0625, 10, 10]), (0.5, [1, 0.25, 4, 4]), (0.25, [1, 0.5, 2, 2])],
)
def test_weights_are_powers_of_the_median_over_the_pixels(power, expected):
    # The median of 32, 512 and 2 is 32.
    weights = rarity_weights(np.array([32, 512, 0, 2]), power)
    np.testing.assert_allclose(weights, expected)


def test_no_weight_is_larger_than_10():
    assert rarity_weights(np.array([1, 10**6, 10**6]), 0.5)[0] == 10


def test_a_class_that_is_in_no_label_counted_gets_the_largest_weight():
    # The median of 1 and 4 is 2.5.
    weights = rarity_weights(np.array([1, 4, 0]), 0.5)
    np.testing.assert_allclose(weights, [2.5**0.5, 0.625**0.5, 2.5**0.5])


def test_without_any_label_all_classes_count_the_same():
    np.testing.assert_array_equal(rarity_weights(np.zeros(3, int), 0.5), [1, 1, 1])


def test_labels_of_uneven_images_are_counted(small_data):
    """Sky fills a small image, Road the left quarter of a large one, Sky the rest of it."""
    colors = np.array(list(COLORS.values()), np.uint8)
    for name, classes in (
        ("train_0", np.zeros((32, 48), int)),
        ("train_1", np.repeat([1, 0, 0, 0], 16) + np.zeros((64, 1), int)),
    ):
        write_picture(small_data.images / f"{name}.png", colors[classes])
        write_picture(small_data.images / f"{name}_L.png", colors[classes])
    (small_data.folder / "train_pointer").write_text("train_0.png\ntrain_1.png\n")
    small_data.load(training_params={"class_weights": 1, "batch_size": 1})
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counted = count_class_weights(dataset)
    assert counted.pixels.tolist() == [32 * 48 + 64 * 48, 64 * 16, 0]
    sky, road = counted.pixels[:2]
    median = (sky + road) / 2
    np.testing.assert_allclose(
        counted.values, [median / sky, median / road, median / road], rtol=1e-6
    )


def test_table_and_file_have_a_line_for_each_class_that_is_not_ignored(small_data):
    small_data.load(ignore_labels=["Car"], training_params={"class_weights": 0.25})
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counted = count_class_weights(dataset)
    lines = counted.as_table().splitlines()
    assert lines[:2] == ["class weights in the loss:", "class   pixels  weight"]
    assert {line.split()[0] for line in lines[2:]} == {"Sky", "Road"}
    rows = counted.as_csv().split()
    assert rows[0] == "class,pixels,weight"
    assert {row.split(",")[0] for row in rows[1:]} == {"Sky", "Road"}


def test_a_class_beyond_the_sample_is_learnt(small_data, monkeypatch):
    """Only the first label of the sample is counted; it has no Car."""
    monkeypatch.setattr(class_weights, "_COUNTED", 1)
    (counted_index,) = spread_out(5, 1)
    write_picture(
        small_data.images / f"train_{counted_index}_L.png",
        np.zeros((32, 48), np.uint8),
    )
    small_data.load(training_params={"class_weights": 0.5})
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counted = count_class_weights(dataset)
    assert counted.pixels.tolist() == [32 * 48, 0, 0]
    assert counted.values.tolist() == [1, 1, 1]
    assert counted.as_table().splitlines()[2:] == [
        "Sky                100.00 %    1.00",
        "(2 not in labels)    0.00 %    1.00",
    ]
    assert max(map(len, counted.as_table().splitlines())) <= 40
