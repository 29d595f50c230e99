"""Compares a function of layers/ with Chainer's own, and its gradients with numerical ones."""

import chainer_compat

import chainer
import numpy as np
from chainer import gradient_check


def random(shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.RandomState(seed).randn(*shape), dtype)


def distance(a, b):
    """Relative distance in the Euclidean norm."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)


def results(function, *arrays):
    """The output and the gradients of the arrays, for a random gradient of the output."""
    variables = [chainer.Variable(a.copy()) for a in arrays]
    y = function(*variables)
    y.grad = random(y.shape, y.dtype, seed=9)
    y.backward()
    return [y.array, *(v.grad for v in variables)]


def assert_same(ours, stock, limit=1e-5):
    assert len(ours) == len(stock)
    for a, b in zip(ours, stock):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert distance(a, b) < limit


def check_gradients(function, *arrays):
    y = function(*arrays)
    gy = random(y.shape, np.float64, seed=5)
    gradient_check.check_backward(
        function, arrays, gy, dtype=np.float64, atol=1e-6, rtol=1e-6, eps=1e-4
    )
