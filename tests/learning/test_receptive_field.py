"""The gradients of the receptive field's figure."""

import numpy as np
import pytest
from small_network import random_image, scores, small_network

from fcn_squeeze import FCN
from learning import layer_table, receptive_field


def test_a_scores_gradient_stays_in_its_receptive_field():
    model = FCN(2, 3)
    image = np.random.default_rng(0).normal(size=(3, 256, 16)).astype(np.float32)
    ((_, column),) = places = [(128, 8)]
    found = receptive_field.gradients(model, image, places, [1])[0]
    low, high = layer_table.box(
        layer_table.layers_of(model), "upsample_final", 128, 128
    )
    rows = np.flatnonzero(found.any(axis=1))
    assert low <= rows[0] < 128 < rows[-1] <= high
    assert found[128, column] > 0


def test_the_gradient_is_the_change_of_the_score():
    model, image = small_network(), random_image()
    found = receptive_field.gradients(model, image, [(10, 20)], [2])[0]
    shift = np.zeros_like(image)
    shift[:, 12, 22] = 1e-2
    slopes = []
    for channel in range(3):
        only = np.zeros_like(image)
        only[channel, 12, 22] = 1e-2
        change = scores(model, image + only) - scores(model, image - only)
        slopes.append(abs(change[2, 10, 20]) / 2e-2)
    assert found[12, 22] == pytest.approx(sum(slopes), rel=0.05)


def test_the_square_that_holds_nine_tenths_of_a_gradient():
    gradient = np.zeros((1, 9, 9))
    gradient[0, 4, 4] = 80
    gradient[0, 4, 6] = 12  # two pixels away: now 92 %
    gradient[0, 0, 0] = 8
    assert receptive_field.sides(gradient, [(4, 4)]) == [5]
