"""The CPU layers give what Chainer's own give, only faster."""

import subprocess
import sys
import threading

import chainer_compat

import chainer
import chainer.functions as stock_functions
import chainer.links as stock_links
import numpy as np
import pytest
from chainer import gradient_check
from hypothesis import given, settings
from hypothesis import strategies as st

import layers.functions as F
import layers.links as L
from layers import elementwise, threads
from layers.cross_entropy import softmax_cross_entropy, weighted_cross_entropy

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


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


@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 255, 3, 4), (1, 300, 2, 2)])
def test_argmax_is_the_first_class_with_the_largest_score(shape):
    scores = np.random.RandomState(0).randint(3, size=shape).astype(np.float32)
    np.testing.assert_array_equal(F.argmax(scores), scores.argmax(axis=1))


def check_gradients(function, *arrays):
    y = function(*arrays)
    gy = random(y.shape, np.float64, seed=5)
    gradient_check.check_backward(
        function, arrays, gy, dtype=np.float64, atol=1e-6, rtol=1e-6, eps=1e-4
    )


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
    t = np.random.RandomState(0).randint(-1, 3, (2, 6, 7))
    check_gradients(lambda a: softmax_cross_entropy(a, t), x)


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
    t = np.zeros((2, 8, 8), np.int32)
    for ours, stock, arrays in [
        (F.convolution_2d, stock_functions.convolution_2d, (x, w)),
        (F.deconvolution_2d, stock_functions.deconvolution_2d, (x, w)),
        (F.elu, stock_functions.elu, (x,)),
        (
            lambda a: F.max_pooling_2d(a, 3, 2),
            lambda a: stock_functions.max_pooling_2d(a, 3, 2),
            (x,),
        ),
        (
            lambda a: softmax_cross_entropy(a, t),
            lambda a: stock_functions.softmax_cross_entropy(a, t),
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


def network_bytes(workers):
    """The bytes of a small network's scores and gradients, computed by so many workers."""
    program = f"""
import sys
import numpy as np
from layers import threads
threads._workers.count = {workers}
import layers.functions as F
from layers.cross_entropy import softmax_cross_entropy
random = np.random.RandomState(0).randn
import chainer
x = chainer.Variable(random(3, 16, 30, 40).astype("f"))
weights = [random(*s).astype("f") / 9 for s in [(16, 16, 3, 3), (16, 20, 3, 3), (20, 8, 8, 8)]]
w = [chainer.Variable(a) for a in [weights[0], weights[1].transpose(1, 0, 2, 3).copy(), weights[2]]]
h = F.elu(F.convolution_2d(x, w[0], pad=1))
h = F.max_pooling_2d(F.elu(F.convolution_2d(h, w[1], pad=2, dilate=2)), 3, 2)
h = F.deconvolution_2d(h, w[2], stride=4, pad=2)
loss = softmax_cross_entropy(h, np.random.RandomState(1).randint(-1, 8, (3, *h.shape[2:])))
loss.backward()
for a in [h.array, loss.array, x.grad] + [v.grad for v in w]:
    sys.stdout.buffer.write(a.tobytes())
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True
    )
    return run.stdout


def test_any_number_of_workers_gives_the_same_bytes():
    one = network_bytes(1)
    assert len(one) > 100_000
    assert network_bytes(2) == one
    assert network_bytes(5) == one


def blas_threads():
    import threadpoolctl

    return [p["num_threads"] for p in threadpoolctl.threadpool_info()]


def test_blas_threads_are_as_before_after_a_layer():
    before = blas_threads()
    F.convolution_2d(random((2, 3, 9, 9)), random((4, 3, 3, 3)))
    assert blas_threads() == before
    with pytest.raises(IndexError):
        softmax_cross_entropy(random((1, 2, 2, 2)), np.full((1, 2, 2), 9, np.int32))
    assert blas_threads() == before


@pytest.mark.parametrize(("value", "limit"), [("1", 1), ("0", None), ("x", None)])
def test_omp_num_threads_limits_the_workers(monkeypatch, value, limit):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = threads.worker_count()
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.worker_count() == (limit or cores)


def test_error_in_a_task_is_raised_after_all_workers_have_stopped(monkeypatch):
    monkeypatch.setattr(threads._workers, "count", 3)
    monkeypatch.setattr(threads._workers, "_pool", None)

    def task(i):
        if i == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        threads.parallel(task, range(20))


def test_a_task_that_starts_tasks_is_an_error_and_no_deadlock(monkeypatch):
    monkeypatch.setattr(threads._workers, "count", 2)
    monkeypatch.setattr(threads._workers, "_pool", None)
    both = threading.Barrier(2)  # both workers, this thread and the pool's, run a task

    def task(i):
        both.wait(timeout=30)
        with pytest.raises(RuntimeError, match="must not call parallel"):
            threads.parallel(print, [i])

    threads.parallel(task, range(2))
    done = []
    threads.parallel(done.append, range(3))  # the workers are free again
    assert sorted(done) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(threads.os, "fork"), reason="needs fork")
def test_layers_run_in_a_forked_process():
    F.elu(random((2, 3, 4, 5)))
    pid = threads.os.fork()
    if pid == 0:
        F.elu(random((2, 3, 4, 5)))
        threads.os._exit(0)
    assert threads.os.waitpid(pid, 0)[1] == 0
