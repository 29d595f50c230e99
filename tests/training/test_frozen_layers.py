import chainer_compat

import chainer
import numpy as np
import pytest

from config import KEYS
from fcn_squeeze import FCN
from training.frozen_layers import freeze
from training.mixed_precision import MixedPrecisionAdam


@pytest.mark.parametrize("adam", [chainer.optimizers.Adam, MixedPrecisionAdam])
def test_frozen_layers_keep_their_weights_and_get_no_gradient(adam):
    mixed = adam is MixedPrecisionAdam
    with chainer.using_config("dtype", chainer.mixed16 if mixed else np.float32):
        model = FCN(2, 3)
    optimizer = adam(alpha=0.01).setup(model)
    freeze(model, ["conv1", "fire2", "fire5"])
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
    before = {name: p.array.copy() for name, p in model.namedparams()}
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    t = np.arange(32 * 32, dtype=np.int32).reshape(1, 32, 32) % 2
    model.cleargrads()
    model(x, t).backward()
    without = {name for name, p in model.namedparams() if p.grad is None}
    optimizer.update(model, x, t)
    same = {n for n, p in model.namedparams() if (p.array == before[n]).all()}
    frozen = {n for n in before if n.split("/")[1] in ("conv1", "fire2", "fire5")}
    assert without == frozen
    assert same == frozen


def test_the_names_are_those_of_the_network():
    (names,) = KEYS["training_params.freeze"].annotation.__args__
    assert set(names.__args__) == {link.name for link in FCN(2, 3).children()}
