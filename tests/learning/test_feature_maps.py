"""The feature maps are the network's own, the strongest first."""

import numpy as np
from small_network import random_image, small_network

from learning import feature_maps


def test_feature_maps_are_those_of_conv1_and_all_fires():
    model, image = small_network(), random_image()
    maps = feature_maps.feature_maps(model, image)
    assert list(maps) == ["conv1", *(f"fire{n}" for n in range(2, 10))]
    wanted = model.conv1(image[None]).array[0]
    np.testing.assert_allclose(maps["conv1"], wanted, atol=1e-5)


def test_the_map_that_varies_most_comes_first():
    maps = np.array([[[0, 1]], [[5, 5]], [[-4, 4]]], np.float32)
    assert feature_maps.strongest(maps) == [2, 0, 1]
