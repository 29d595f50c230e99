"""A branch that is left out has no influence."""

import numpy as np
import pytest
from small_network import random_image, scores, small_network

from learning import branches


@pytest.mark.parametrize("branch", branches.BRANCHES)
def test_a_branch_left_out_no_longer_matters(branch):
    model, image = small_network(), random_image()
    score = {
        "pool1": "score_pool1",
        "pool4": "upsample_pool4",
        "fire9": "upsample_pool9",
    }
    before = scores(model, image)
    reduced = branches.without(model, branch)
    left = scores(reduced, image)
    assert not np.allclose(left, before)
    reduced[score[branch]].W.array[...] = 7
    np.testing.assert_array_equal(scores(reduced, image), left)
    np.testing.assert_array_equal(
        scores(model, image), before
    )  # the original is intact
