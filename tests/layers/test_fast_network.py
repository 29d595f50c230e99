"""Each layer of both networks gives what Chainer's own gives for the same input."""

import chainer_compat

import chainer
import numpy as np
import pytest
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND

from fcn_squeeze import FCN
from layers import threads


class Recorder(chainer.FunctionHook):
    """Keeps each function with its inputs."""

    name = "Recorder"

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward_postprocess(self, function, in_data):
        self.calls.append((function, in_data))


def arguments_of(function):
    """What a function of the network was made with, to make it again."""
    if isinstance(function, Convolution2DFunction):
        extra = {"dilate": (function.dy, function.dx)}
    elif isinstance(function, Deconvolution2DFunction):
        extra = {}
    elif isinstance(function, MaxPoolingND):
        names = ("ndim", "ksize", "stride", "pad")
        return {name: getattr(function, name) for name in names}
    else:
        return {}
    stride, pad = (function.sy, function.sx), (function.ph, function.pw)
    return {"stride": stride, "pad": pad, **extra}


def run(function, arrays):
    """The output and the gradients of the float arrays, for a random output gradient."""
    variables = [chainer.Variable(a) for a in arrays]
    (y,) = function.apply(variables)
    random = np.random.RandomState(0)
    y.grad = np.asarray(random.randn(*y.shape), np.float32)
    y.backward()
    return [y.array, *(v.grad for v in variables if v.dtype.kind == "f")]


def batch(shape, n_class):
    random = np.random.RandomState(1)
    x = random.randn(shape[0], 3, *shape[1:]).astype(np.float32)
    return x, random.randint(-1, n_class, shape).astype(np.int32)


@pytest.mark.parametrize("dilated", [True, False])
@pytest.mark.parametrize("shape", [(2, 80, 48), (1, 48, 112)])
def test_each_layer_and_its_gradients_are_chainers(dilated, shape):
    np.random.seed(0)
    model, recorder = FCN(12, 3, dilated), Recorder()
    with recorder:
        model(*batch(shape, 12))
    # Convolutions, ELU, concat, pooling, loss.
    assert len(recorder.calls) == 32 + 17 + 9 + (2 if dilated else 3) + 1
    for function, arrays in recorder.calls:
        ours_type, stock_type = type(function).__mro__[:2]
        arguments = arguments_of(function)
        ours = run(ours_type(**arguments), arrays)
        stock = run(stock_type(**arguments), arrays)
        for a, b in zip(ours, stock, strict=True):
            distance = np.linalg.norm((a - b).ravel()) / np.linalg.norm(b.ravel())
            assert distance < 5e-6, (function.label, [a.shape for a in arrays])


@pytest.mark.parametrize("dilated", [True, False])
def test_scores_without_backpropagation_are_those_of_training(dilated):
    model = FCN(12, 3, dilated)
    x, _ = batch((2, 48, 80), 12)
    expected = model.scores(x).array
    with chainer.no_backprop_mode():
        scores = model.scores(x).array
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def gradients(workers, monkeypatch):
    monkeypatch.setattr(threads._workers, "count", workers)
    monkeypatch.setattr(threads._workers, "_pool", None)
    np.random.seed(0)
    model = FCN(12, 3)
    model.cleargrads()
    model(*batch((3, 48, 64), 12)).backward()
    arrays = [p.grad for _, p in sorted(model.namedparams())]
    with chainer.no_backprop_mode():
        for size in ((3, 48, 64), (1, 160, 192)):  # one image is cut into strips
            arrays.append(model.scores(batch(size, 12)[0]).array)
    return b"".join(a.tobytes() for a in [model.h.array, *arrays])


def test_any_number_of_workers_gives_the_same_network(monkeypatch):
    one = gradients(1, monkeypatch)
    assert gradients(2, monkeypatch) == one
    assert gradients(7, monkeypatch) == one
