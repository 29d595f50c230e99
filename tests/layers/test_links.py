"""The CPU layers give what Chainer's own give, only faster."""

import chainer_compat

import chainer
import chainer.functions as stock_functions
import chainer.links as stock_links
import numpy as np
import pytest
from comparison import assert_same, check_gradients, distance, random, results
from hypothesis import given, settings
from hypothesis import strategies as st

import layers.functions as F
import layers.links as L
from layers import elementwise

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


sizes = st.integers(1, 13)


@few
@given(
    images=st.integers(1, 3),
    size=st.tuples(sizes, sizes),
    maps=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilate=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    bias=st.booleans(),
)
def test_convolution_is_chainers(images, size, maps, kernel, stride, pad, dilate, bias):
    for n, k, p, d in zip(size, kernel, pad, dilate):
        if n + 2 * p < (k - 1) * d + 1:
            return  # no output: see test_impossible_shape_is_chainers_error
    x, w = random((images, maps[0], *size)), random((maps[1], maps[0], *kernel), seed=1)
    arrays = [x, w, random(maps[1:], seed=2)] if bias else [x, w]

    def ours(*a):
        return F.convolution_2d(*a, stride=stride, pad=pad, dilate=dilate)

    def stock(*a):
        return stock_functions.convolution_2d(*a, stride=stride, pad=pad, dilate=dilate)

    assert_same(results(ours, *arrays), results(stock, *arrays))


@few
@given(
    images=st.integers(1, 3),
    size=st.tuples(sizes, sizes),
    maps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    taps=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pad=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    larger=st.booleans(),
    bias=st.booleans(),
)
def test_deconvolution_is_chainers(images, size, maps, taps, stride, pad, larger, bias):
    kernel = tuple(a * s for a, s in zip(taps, stride))
    out = tuple(
        s * (n - 1) + k - 2 * p for n, k, s, p in zip(size, kernel, stride, pad)
    )
    if min(out) <= 0:
        return
    outsize = tuple(n + s - 1 for n, s in zip(out, stride)) if larger else None
    x, w = random((images, maps[0], *size)), random((*maps, *kernel), seed=1)
    arrays = [x, w, random(maps[1:], seed=2)] if bias else [x, w]

    def ours(*a):
        return F.deconvolution_2d(*a, stride=stride, pad=pad, outsize=outsize)

    def stock(*a):
        return stock_functions.deconvolution_2d(
            *a, stride=stride, pad=pad, outsize=outsize
        )

    assert_same(results(ours, *arrays), results(stock, *arrays))


@few
@given(
    size=st.tuples(sizes, sizes),
    maps=st.integers(1, 4),
    ksize=st.integers(1, 4),
    stride=st.integers(1, 4),
    pad=st.integers(0, 2),
    cover_all=st.booleans(),
    values=st.sampled_from([2, 5, 10**6]),
)
def test_max_pooling_is_chainers(size, maps, ksize, stride, pad, cover_all, values):
    if min(size) + 2 * pad < ksize or pad >= ksize:
        return
    # Few different values: windows with equal maxima, whose gradient goes to the first.
    x = np.random.RandomState(3).randint(values, size=(2, maps, *size)).astype("f")

    def ours(a):
        return F.max_pooling_2d(a, ksize, stride, pad, cover_all)

    def stock(a):
        return stock_functions.max_pooling_2d(a, ksize, stride, pad, cover_all)

    y, gx = results(ours, x)
    expected_y, expected_gx = results(stock, x)
    np.testing.assert_array_equal(y, expected_y)
    if np.isfinite(y).all():  # a window without input has no maximum to send it to
        assert distance(gx, expected_gx) < 1e-6


def test_gradient_goes_to_the_first_of_equal_maxima():
    x = chainer.Variable(np.zeros((1, 1, 3, 3), np.float32))
    y = F.max_pooling_2d(x, 3, 2)
    y.grad = np.ones_like(y.array)
    y.backward()
    expected = np.zeros((3, 3))
    expected[0, 0] = 1
    np.testing.assert_array_equal(x.grad[0, 0], expected)


def test_pooling_covers_all_columns_as_chainer_does():
    assert F.max_pooling_2d(random((1, 2, 8, 9)), 3, stride=2).shape == (1, 2, 4, 4)


@pytest.fixture(params=[elementwise._expm1_by_numpy, elementwise._expm1_by_tanh])
def expm1(request, monkeypatch):
    """Both ways to compute expm1; the machine's NumPy decides which is used."""
    monkeypatch.setattr(elementwise, "_expm1", request.param)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1), (3, 4), (2, 600, 9, 11)])
def test_elu_is_chainers(shape, expm1):
    x = random(shape) * 4
    x.flat[0] = 0
    assert_same(results(F.elu, x), results(stock_functions.elu, x), limit=1e-6)


def test_elu_of_tiny_and_huge_numbers_keeps_its_digits(expm1):
    x = np.array([[-1e-20, -100, 100, -0.0]], np.float32)
    np.testing.assert_array_equal(
        F.elu(x).array, np.array([[-1e-20, -1, 100, 0]], np.float32)
    )


def test_elu_does_not_change_its_input():
    x = random((2, 3, 4, 5))
    before = x.copy()
    F.elu(x)
    np.testing.assert_array_equal(x, before)


def test_sum_is_chainers():
    for shapes in [((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4), (2, 1, 4))]:
        arrays = [random(shape, seed=i) for i, shape in enumerate(shapes)]
        assert_same(
            results(F.add, *arrays), results(stock_functions.add, *arrays), 1e-12
        )


def test_concat_is_chainers():
    arrays = [random((2, c, 3, 5), seed=c) for c in (1, 4, 2)]
    ours = results(lambda *a: F.concat(a), *arrays)
    assert_same(ours, results(lambda *a: stock_functions.concat(a), *arrays), 1e-12)


@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 255, 3, 4), (1, 300, 2, 2)])
def test_argmax_is_the_first_class_with_the_largest_score(shape):
    scores = np.random.RandomState(0).randint(3, size=shape).astype(np.float32)
    np.testing.assert_array_equal(F.argmax(scores), scores.argmax(axis=1))


def test_gradients_are_the_numerical_ones_in_float64():
    x = random((2, 3, 6, 7), np.float64)
    b = random((4,), np.float64)
    w = random((4, 3, 3, 2), np.float64)
    check_gradients(lambda *a: F.convolution_2d(*a, stride=2, pad=1, dilate=2), x, w, b)
    w = random((3, 4, 4, 6), np.float64)
    check_gradients(lambda *a: F.deconvolution_2d(*a, stride=2, pad=1), x, w, b)
    w = random((3, 4, 2, 8), np.float64)  # four taps in a row
    check_gradients(lambda *a: F.deconvolution_2d(*a, stride=2, pad=1), x, w, b)
    check_gradients(F.elu, x + np.sign(x) * 0.01)
    distinct = np.random.RandomState(0).permutation(252).reshape(2, 3, 6, 7) / 10.0
    check_gradients(lambda a: F.max_pooling_2d(a, 3, 2), distinct)


def dilated(maps_in, maps, ksize, stride, pad, dilate):
    return L.Convolution2D(maps_in, maps, ksize, stride, pad, dilate=dilate)


@pytest.mark.parametrize(
    ("ours", "stock", "arguments"),
    [
        (L.Convolution2D, stock_links.Convolution2D, (3, 8, 3)),
        (L.Convolution2D, stock_links.Convolution2D, (None, 8, 3)),
        (dilated, stock_links.DilatedConvolution2D, (3, 8, 3, 1, 2, 2)),
        (L.Deconvolution2D, stock_links.Deconvolution2D, (3, 8, 4, 2, 1)),
        (L.Deconvolution2D, stock_links.Deconvolution2D, (None, 8, 4, 2, 1)),
    ],
)
def test_links_read_and_write_chainers_weight_files(ours, stock, arguments, tmp_path):
    x = random((2, 3, 9, 10))
    theirs = stock(*arguments)
    expected = theirs(x).array
    chainer.serializers.save_npz(tmp_path / "weights.npz", theirs)
    link = ours(*arguments)
    link(x)
    chainer.serializers.load_npz(tmp_path / "weights.npz", link)
    assert distance(link(x).array, expected) < 1e-6
    assert sorted(name for name, _ in link.namedparams()) == ["/W", "/b"]


def test_links_start_with_chainers_initial_values():
    np.random.seed(0)
    ours = L.Convolution2D(3, 4, 3).W.array
    np.random.seed(0)
    np.testing.assert_array_equal(ours, stock_links.Convolution2D(3, 4, 3).W.array)


@pytest.mark.parametrize(
    "arguments",
    [
        {"groups": 2},
        {"groups": 4, "dilate": 2},
    ],
)
def test_groups_go_to_chainer(arguments):
    x = random((2, 4, 9, 9))
    ours, stock = L.Convolution2D(4, 8, 3, **arguments), None
    stock = stock_links.Convolution2D(4, 8, 3, **arguments)
    stock.copyparams(ours)
    np.testing.assert_array_equal(ours(x).array, stock(x).array)


def test_deconvolution_kernel_that_is_no_multiple_of_the_stride_goes_to_chainer():
    x, w = random((2, 3, 5, 5)), random((3, 4, 3, 3), seed=1)
    ours = results(lambda *a: F.deconvolution_2d(*a, stride=2), x, w)
    stock = results(lambda *a: stock_functions.deconvolution_2d(*a, stride=2), x, w)
    for a, b in zip(ours, stock):
        np.testing.assert_array_equal(a, b)


def test_float16_goes_to_chainer():
    x, w = random((2, 4, 8, 8), np.float16), random((4, 4, 3, 3), np.float16)
    for ours, stock, arrays in [
        (F.convolution_2d, stock_functions.convolution_2d, (x, w)),
        (F.deconvolution_2d, stock_functions.deconvolution_2d, (x, w)),
        (F.elu, stock_functions.elu, (x,)),
        (
            lambda a: F.max_pooling_2d(a, 3, 2),
            lambda a: stock_functions.max_pooling_2d(a, 3, 2),
            (x,),
        ),
    ]:
        for a, b in zip(results(ours, *arrays), results(stock, *arrays)):
            assert a.dtype == np.float16
            np.testing.assert_array_equal(a, b)


def test_impossible_shape_is_chainers_error():
    with pytest.raises(RuntimeError, match="should be positive"):
        F.convolution_2d(random((1, 1, 2, 2)), random((1, 1, 5, 5)))
    with pytest.raises(chainer.utils.type_check.InvalidType):
        F.convolution_2d(random((1, 2, 5, 5)), random((1, 1, 3, 3)))


def test_double_backpropagation_goes_to_chainer():
    x = chainer.Variable(random((1, 2, 6, 6), np.float64))
    w = chainer.Variable(random((3, 2, 3, 3), np.float64))
    h = F.max_pooling_2d(F.elu(F.convolution_2d(x, w)), 3, 2)
    y = chainer.functions.sum(
        F.deconvolution_2d(
            h, chainer.Variable(random((3, 1, 4, 4), np.float64)), stride=2
        )
        ** 2
    )
    (gx,) = chainer.grad([y], [x], enable_double_backprop=True)
    (ggx,) = chainer.grad([chainer.functions.sum(gx**2)], [w])
    assert ggx.array.any()


def test_input_that_needs_no_gradient_gets_none():
    x = chainer.as_variable(random((1, 3, 8, 8)))
    link = L.Convolution2D(3, 4, 3)
    y = link(x)
    y.grad = np.ones_like(y.array)
    y.backward()
    assert x.grad is None
    assert link.W.grad is not None
