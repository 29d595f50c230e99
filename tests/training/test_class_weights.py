import chainer_compat

import chainer
import numpy as np
import pytest

from mini_batch_loader import DatasetPreProcessor
from training.class_weights import count_class_weights, median_frequency_weights


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1, [1, 0.0625, 0, 10]), (0.5, [1, 0.25, 0, 4]), (0.25, [1, 0.5, 0, 2])],
)
def test_weights_are_powers_of_the_median_over_the_frequency(power, expected):
    pixels = np.array([32, 512, 0, 2])  # the median of those that occur is 32
    weights = median_frequency_weights(pixels, power)
    np.testing.assert_allclose(weights, expected)


def test_no_weight_is_larger_than_10():
    assert median_frequency_weights(np.array([1, 10**6, 10**6]), 0.5)[0] == 10


def test_labels_of_the_training_list_are_counted(small_data):
    small_data.load(ignore_labels=["Car"])
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counted = count_class_weights(dataset, 0.25)
    expected = sum(
        np.bincount(dataset.scaled_pair(i)[1].ravel() + 1, minlength=4)[1:]
        for i in range(len(dataset))
    )
    np.testing.assert_array_equal(counted.pixels, expected)
    assert counted.pixels[2] == counted.values[2] == 0
    assert counted.as_csv().count("\n") == 3
