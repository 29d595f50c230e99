"""Softmax cross entropy is Chainer's, with and without class weights, only faster."""

import chainer_compat

import chainer
import chainer.functions as stock_functions
import numpy as np
import pytest
from comparison import assert_same, check_gradients, random, results

from layers.cross_entropy import softmax_cross_entropy, weighted_cross_entropy


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (1, 2, 1, 1), (2, 32, 40, 60)])
def test_softmax_cross_entropy_is_chainers(shape, normalize):
    x = random(shape)
    t = np.random.RandomState(1).randint(-1, shape[1], (shape[0], *shape[2:]))
    t = t.astype(np.int32)
    ours = results(lambda a: softmax_cross_entropy(a, t, normalize), x)
    stock = results(lambda a: stock_functions.softmax_cross_entropy(a, t, normalize), x)
    assert_same(ours, stock, limit=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_cross_entropy_comes_with_the_weighted_one(dtype):
    x = random((2, 5, 6, 7), dtype)
    t = np.random.RandomState(1).randint(-1, 5, (2, 6, 7)).astype(np.int32)
    weight = np.array([1, 3, 0.5, 2, 0], dtype)
    for some in (weight, None):
        weighted, plain = weighted_cross_entropy(chainer.Variable(x), t, some)
        expected = stock_functions.softmax_cross_entropy(x, t, class_weight=some)
        assert float(weighted.array) == pytest.approx(float(expected.array), rel=1e-5)
        expected = stock_functions.softmax_cross_entropy(x, t)
        assert float(plain) == pytest.approx(float(expected.array), rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weighted_softmax_cross_entropy_is_chainers(dtype):
    x, weight = random((2, 5, 7, 9), dtype), random((5,), dtype) ** 2
    t = np.random.RandomState(1).randint(-1, 5, (2, 7, 9)).astype(np.int32)
    losses = softmax_cross_entropy, stock_functions.softmax_cross_entropy
    ours, stock = (
        results(lambda a, loss=loss: loss(a, t, class_weight=weight), x)
        for loss in losses
    )
    assert_same(ours, stock, limit=1e-6)


def test_all_pixels_without_label_give_loss_0():
    x = chainer.Variable(random((1, 3, 2, 2)))
    loss = softmax_cross_entropy(x, np.full((1, 2, 2), -1, np.int32))
    loss.backward()
    assert loss.array == 0
    assert not x.grad.any()


def test_loss_can_be_differentiated_twice_over():
    x = chainer.Variable(random((1, 3, 2, 2)))
    loss = softmax_cross_entropy(x, np.ones((1, 2, 2), np.int32))
    loss.backward()
    once = x.grad.copy()
    x.cleargrad()
    loss.backward()
    np.testing.assert_array_equal(x.grad, once)


def test_label_out_of_range_is_an_error():
    x, t = random((1, 3, 2, 2)), np.full((1, 2, 2), 3, np.int32)
    with pytest.raises(IndexError):
        softmax_cross_entropy(x, t)
    with chainer.using_config("debug", True), pytest.raises(ValueError):
        softmax_cross_entropy(x, t)


def test_gradient_is_the_numerical_one_in_float64():
    t = np.random.RandomState(0).randint(-1, 3, (2, 6, 7))
    x = random((2, 3, 6, 7), np.float64)
    check_gradients(lambda a: softmax_cross_entropy(a, t), x)


def test_float16_goes_to_chainer():
    x, t = random((2, 4, 8, 8), np.float16), np.zeros((2, 8, 8), np.int32)
    ours = results(lambda a: softmax_cross_entropy(a, t), x)
    stock = results(lambda a: stock_functions.softmax_cross_entropy(a, t), x)
    for a, b in zip(ours, stock, strict=True):
        assert a.dtype == np.float16
        np.testing.assert_array_equal(a, b)
