"""What all figures are made from."""

import chainer_compat

import chainer
import numpy as np
import pytest
from tiny_run import TinyRun

from learning.subject import new_network


@pytest.mark.parametrize("start", ["random", "bilinear"])
def test_a_new_network_has_the_weights_that_the_training_begins_with(small_data, start):
    frozen = ["conv1", "fire5", "upsample_pool9", "upsample_final"]
    params = {"epochs": 1, "init_deconvolutions": start, "freeze": frozen}
    TinyRun(small_data, seed=5, training_params=params).here()
    model = new_network(chainer.global_config.user_val_args)
    found = chainer.serializers.npz.serialize(model)
    with np.load(small_data.folder / "result/model/fcn_final.npz") as stored:
        for name in found:
            is_frozen = name.split("/")[0] in frozen
            assert np.array_equal(found[name], stored[name]) == is_frozen, name
