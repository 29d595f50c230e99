import chainer_compat

import chainer
import chainer.links as L
import numpy as np
import pytest

from training.mixed_precision import MixedPrecisionAdam


@pytest.fixture
def step():
    """A small float16 model, its optimizer, and a function that makes a step with a gradient."""
    with chainer.using_config("dtype", chainer.mixed16):
        model = L.Linear(2, 2)
    model.loss = chainer.Variable(np.array(1, np.float32))
    optimizer = MixedPrecisionAdam(alpha=0.125).setup(model)

    def make(gradient: float) -> None:
        for param in model.params():
            param.grad = np.full(param.shape, gradient, np.float16)
        optimizer.update()

    return model, optimizer, make


def test_step_whose_gradients_overflow_is_left_out_and_the_factor_halved(step):
    model, optimizer, make = step
    optimizer._loss_scale = 64
    before = model.W.array.copy()
    make(np.inf)
    assert (model.W.array == before).all() and optimizer._loss_scale == 32
    make(1.0)
    assert (model.W.array != before).all()


def test_factor_grows_fast_until_the_first_overflow_and_slowly_after_it(step):
    _, optimizer, make = step
    make(1.0)
    assert optimizer._loss_scale == 2
    make(np.inf)
    assert optimizer._loss_scale == 1
    for _ in range(1000):
        make(1.0)
    assert optimizer._loss_scale == pytest.approx(2)


def test_overflow_that_no_smaller_factor_can_cure_is_an_error(step):
    _, _, make = step
    with pytest.raises(FloatingPointError, match="the gradients are not finite"):
        make(np.nan)


def test_loss_that_is_not_finite_is_an_error(step):
    model, optimizer, make = step
    optimizer._loss_scale = 64
    model.loss.array[...] = np.inf
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        make(1.0)


def test_masters_keep_what_float16_rounds_away(step):
    model, optimizer, make = step
    optimizer.alpha = 1e-5
    model.W.array[...] = 1
    for _ in range(100):
        make(1.0)
    assert (model.W.array < 1).all()


def test_masters_and_factor_are_stored(step):
    model, optimizer, make = step
    make(1.0)
    make(1.0)
    stored = chainer.serializers.DictionarySerializer()
    optimizer.serialize(stored)
    with chainer.using_config("dtype", chainer.mixed16):
        other = MixedPrecisionAdam(alpha=0.125).setup(L.Linear(2, 2))
    other.serialize(chainer.serializers.NpzDeserializer(stored.target))
    assert other._loss_scale == 4
    for mine, theirs in zip(model.params(), other.target.params()):
        expected = mine.update_rule._fp32_param.array
        assert (theirs.update_rule._fp32_param.array == expected).all()
