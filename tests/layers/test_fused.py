"""Convolutions, concatenation and ELU in one pass give what the layers give one by one."""

import chainer_compat

import chainer
import chainer.functions as stock_functions
import numpy as np
import pytest

import layers.links as L
from layers import elementwise
from layers.fused import convolve_elu


def random(*shape, dtype=np.float32):
    return np.asarray(np.random.RandomState(0).randn(*shape), dtype)


def expansions(dtype):
    """A 1x1 and a dilated 3x3 convolution with outputs of one size, as a FireDilated has."""
    with chainer.using_config("dtype", dtype):
        links = [L.Convolution2D(3, 5, 1), L.Convolution2D(3, 4, 3, 1, 2, dilate=2)]
    for link in links:
        link.b.array[...] = random(*link.b.shape, dtype=dtype)
    return links


def stock_convolve_elu(x, links):
    maps = [
        stock_functions.convolution_2d(
            x, link.W, link.b, link.stride, link.pad, dilate=link.dilate
        )
        for link in links
    ]
    return stock_functions.elu(stock_functions.concat(maps, axis=1)).array


@pytest.fixture(params=[elementwise._expm1_by_numpy, elementwise._expm1_by_tanh])
def expm1(request, monkeypatch):
    monkeypatch.setattr(elementwise, "_expm1", request.param)


@pytest.mark.usefixtures("expm1")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 3, 7, 9), (3, 3, 1, 1), (2, 3, 133, 150)])
@pytest.mark.parametrize("backprop", [True, False])
def test_results_are_chainers(dtype, shape, backprop):
    links, x = expansions(dtype), random(*shape, dtype=dtype)
    with chainer.using_config("enable_backprop", backprop):
        both, one = convolve_elu(x, *links), convolve_elu(x, links[1])
    assert (both.creator is not None) == backprop
    for ours, stock in [
        (both.array, stock_convolve_elu(x, links)),
        (one.array, stock_convolve_elu(x, links[1:])),
    ]:
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, stock, rtol=1e-5, atol=1e-6)


class Kinds(chainer.FunctionHook):
    """Notes the kinds of the function nodes that run."""

    name = "Kinds"

    def __init__(self):
        super().__init__()
        self.found = []

    def forward_preprocess(self, function, in_data):
        self.found.append(type(function).__name__)


def kinds(function):
    """The kinds of the function nodes that a call runs without backpropagation."""
    with chainer.no_backprop_mode(), Kinds() as hook:
        function()
    return hook.found


def test_without_backpropagation_it_is_one_function():
    x = random(2, 3, 8, 8)
    links = expansions(np.float32)
    assert kinds(lambda: convolve_elu(x, *links)) == ["_ConvolutionsELU"]


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({"groups": 3}, np.float32), ({"nobias": True}, np.float32), ({}, np.float16)],
)
def test_what_is_not_covered_goes_through_the_layers(arguments, dtype):
    with chainer.using_config("dtype", dtype):
        link = L.Convolution2D(3, 6, 3, **arguments)
    x = random(2, 3, 8, 8, dtype=dtype)
    assert kinds(lambda: convolve_elu(x, link)) == ["Convolution2D", "_ELU"]
    # Where NumPy's expm1 is slow, ELU goes by tanh: the last bit may differ from Chainer's.
    expected = stock_functions.elu(link(x)).array
    np.testing.assert_allclose(convolve_elu(x, link).array, expected, rtol=1e-6)


def test_a_map_that_is_not_contiguous_is_no_hindrance():
    link, x = L.Convolution2D(3, 4, 3), random(2, 3, 9, 8)
    turned = x.transpose(0, 1, 3, 2)
    with chainer.no_backprop_mode():
        np.testing.assert_array_equal(
            convolve_elu(turned, link).array, convolve_elu(turned.copy(), link).array
        )


def test_wrong_shapes_are_chainers_error():
    x = random(1, 3, 5, 5)
    with chainer.no_backprop_mode():
        with pytest.raises(chainer.utils.type_check.InvalidType):
            convolve_elu(x[:, :2], L.Convolution2D(3, 4, 3))
        with pytest.raises(chainer.utils.type_check.InvalidType):
            convolve_elu(x, L.Convolution2D(3, 4, 3), L.Convolution2D(3, 4, 1))
