import chainer_compat

import chainer
import numpy as np

from class_weights import count_class_weights, sqrt_median_weights
from mini_batch_loader import DatasetPreProcessor


def test_weights_are_the_roots_of_the_median_over_the_frequency():
    # The median of 1, 100, 400 is 100.
    pixels = np.array([100, 400, 0, 1])
    np.testing.assert_allclose(sqrt_median_weights(pixels), [1, 0.5, 0, 10])


def test_no_weight_is_larger_than_10():
    assert sqrt_median_weights(np.array([1, 10**6, 10**6]))[0] == 10


def test_labels_of_the_training_list_are_counted(small_data):
    small_data.load(ignore_labels=["Car"])
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counted = count_class_weights(dataset)
    expected = sum(
        np.bincount(dataset.scaled_pair(i)[1].ravel() + 1, minlength=4)[1:]
        for i in range(len(dataset))
    )
    np.testing.assert_array_equal(counted.pixels, expected)
    assert counted.pixels[2] == counted.values[2] == 0
    assert counted.as_csv().count("\n") == 3
