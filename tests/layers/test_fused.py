"""Layers in one function, strip by strip, give what the layers give one by one."""

import chainer_compat

import chainer
import chainer.functions as stock_functions
import numpy as np
import pytest

import layers.links as L
from layers import convolution, elementwise
from layers.fused import convolve_pool_elu, squeeze_expand_elu


def random(*shape, dtype=np.float32):
    return np.asarray(np.random.RandomState(0).randn(*shape), dtype)


def with_biases(dtype, make):
    """Links with biases that are not 0."""
    with chainer.using_config("dtype", dtype):
        links = make()
    for link in links:
        link.b.array[...] = random(*link.b.shape, dtype=dtype)
    return links


def fire(dtype=np.float32, dilate=2):
    """A squeeze and a 1x1 and a dilated 3x3 expansion, as a FireDilated has."""
    return with_biases(
        dtype,
        lambda: [
            L.Convolution2D(6, 3, 1),
            L.Convolution2D(3, 5, 1),
            L.Convolution2D(3, 4, 3, 1, dilate, dilate=dilate),
        ],
    )


def conv1(dtype=np.float32):
    return with_biases(dtype, lambda: [L.Convolution2D(3, 4, 7, 2, 3)])[0]


def stock_convolution(x, link):
    return stock_functions.convolution_2d(
        x, link.W, link.b, link.stride, link.pad, dilate=link.dilate
    )


def stock_fire(x, squeeze, *expansions):
    s = stock_functions.elu(stock_convolution(x, squeeze))
    maps = [stock_convolution(s, link) for link in expansions]
    return stock_functions.elu(stock_functions.concat(maps, axis=1)).array


def stock_conv1(x, link):
    maps = stock_functions.elu(stock_convolution(x, link))
    return stock_functions.max_pooling_2d(maps, 3, 2).array


@pytest.fixture(params=[elementwise._expm1_by_numpy, elementwise._expm1_by_tanh])
def expm1(request, monkeypatch):
    monkeypatch.setattr(elementwise, "_expm1", request.param)


@pytest.fixture(params=[1, 1 << 22], ids=["strips of a row", "large strips"])
def strips(request, monkeypatch):
    monkeypatch.setattr(convolution, "STRIP_BYTES", request.param)


@pytest.mark.usefixtures("expm1", "strips")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 6, 7, 9), (3, 6, 1, 1), (2, 6, 33, 50)])
@pytest.mark.parametrize("backprop", [True, False])
@pytest.mark.parametrize("dilate", [1, 2])
def test_a_fire_is_chainers(dtype, shape, backprop, dilate):
    links, x = fire(dtype, dilate), random(*shape, dtype=dtype)
    with chainer.using_config("enable_backprop", backprop):
        ours = squeeze_expand_elu(x, *links)
    assert (ours.creator is not None) == backprop
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.array, stock_fire(x, *links), rtol=1e-5, atol=2e-6)


@pytest.mark.usefixtures("expm1", "strips")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(1, 3, 16, 32), (3, 3, 5, 5), (2, 3, 7, 9), (1, 3, 62, 33)]
)
@pytest.mark.parametrize("backprop", [True, False])
def test_convolution_pooling_and_elu_are_chainers(dtype, shape, backprop):
    link, x = conv1(dtype), random(*shape, dtype=dtype)
    with chainer.using_config("enable_backprop", backprop):
        ours = convolve_pool_elu(x, link, 3, 2)
    assert (ours.creator is not None) == backprop
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.array, stock_conv1(x, link), rtol=1e-5, atol=2e-6)


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
    x = random(2, 6, 8, 8)
    assert kinds(lambda: squeeze_expand_elu(x, *fire())) == ["_SqueezeExpandELU"]
    x = x[:, :3].copy()
    found = kinds(lambda: convolve_pool_elu(x, conv1(), 3, 2))
    assert found == ["_ConvolutionPoolingELU"]


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({"groups": 3}, np.float32), ({"nobias": True}, np.float32), ({}, np.float16)],
)
def test_what_is_not_covered_goes_through_the_layers(arguments, dtype):
    with chainer.using_config("dtype", dtype):
        link, squeeze = (L.Convolution2D(3, 6, 3, **arguments) for _ in range(2))
    x = random(2, 3, 8, 8, dtype=dtype)
    pooled = ["Convolution2D", "_MaxPooling2D", "_ELU"]
    assert kinds(lambda: convolve_pool_elu(x, link, 3, 2)) == pooled
    if dtype == np.float32:  # nor is a squeeze of 3x3
        squeezed = ["Convolution2D", "_ELU", "Convolution2D", "_Concat", "_ELU"]
        plain = L.Convolution2D(6, 4, 1)
        assert kinds(lambda: squeeze_expand_elu(x, squeeze, plain)) == squeezed


def test_a_map_that_is_not_contiguous_is_no_hindrance():
    links, x = fire(), random(2, 6, 9, 8)
    turned = x.transpose(0, 1, 3, 2)
    with chainer.no_backprop_mode():
        np.testing.assert_allclose(
            squeeze_expand_elu(turned, *links).array,
            squeeze_expand_elu(turned.copy(), *links).array,
            rtol=1e-6,
            atol=1e-6,
        )


def test_wrong_shapes_are_chainers_error():
    x, links = random(1, 6, 5, 5), fire()
    with chainer.no_backprop_mode():
        with pytest.raises(chainer.utils.type_check.InvalidType):
            squeeze_expand_elu(x[:, :2], *links)
        with pytest.raises(chainer.utils.type_check.InvalidType):
            squeeze_expand_elu(x, *links, L.Convolution2D(3, 4, 3))
        with pytest.raises(chainer.utils.type_check.InvalidType):
            convolve_pool_elu(x, conv1(), 3, 2)


def test_strips_of_a_prediction_follow_size_work_and_number_of_images():
    strips, most = convolution.strips_of_prediction, convolution.PREDICTION_TASKS
    assert strips(2640, 1_000_000, 1) == 1  # not worth another core
    assert strips(2640, 130_000_000, 1) == most
    assert strips(660, 130_000_000, 1) == 2
    assert strips(2640, 130_000_000, 3) == 2
    assert strips(2640, 130_000_000, 20) == 1
