"""Between predictions, forms of the weights are kept; any change of the weights renews them."""

import gc

import chainer_compat

import chainer
import numpy as np
import pytest

from layers import deconvolution
from layers.links import Deconvolution2D


@pytest.fixture
def link():
    return Deconvolution2D(2, 3, 16, stride=4, pad=6)


X = np.random.RandomState(0).randn(1, 2, 5, 6).astype(np.float32)


def predict(link) -> np.ndarray:
    with chainer.no_backprop_mode():
        return link(X).array


def stock(link) -> np.ndarray:
    return chainer.functions.deconvolution_2d(X, link.W, link.b, 4, 6).array


def train(link, path):
    optimizer = chainer.optimizers.Adam().setup(link)
    optimizer.update(lambda: chainer.functions.sum(link(X) ** 2))


def load(link, path):
    other = link.copy("init")
    chainer.serializers.save_npz(path, other)
    chainer.serializers.load_npz(path, link)


def assign(link, path):
    link.W.array = link.W.array * 2


def write_into(link, path):
    link.W.array[...] *= 2


def write_one(link, path):
    link.W.array[1, 2, 15, 15] += 1


@pytest.mark.parametrize("change", [train, load, assign, write_into, write_one])
def test_changed_weights_are_used_at_once(link, tmp_path, change):
    before = predict(link)
    change(link, tmp_path / "weights.npz")
    after = predict(link)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, stock(link), atol=2e-6)


def test_unchanged_weights_are_transformed_once(link, monkeypatch):
    before = predict(link)
    monkeypatch.setattr(deconvolution, "_forms", None)
    assert predict(link).tobytes() == before.tobytes()


def test_nothing_is_kept_of_weights_that_are_gone(link):
    before = set(deconvolution._kept)
    other = link.copy("init")
    predict(other)
    assert set(deconvolution._kept) - before
    del other
    gc.collect()
    assert set(deconvolution._kept) <= before


def test_training_keeps_nothing(link):
    before = set(deconvolution._kept)
    link(X)
    assert set(deconvolution._kept) <= before
