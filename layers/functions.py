"""Chainer's functions of this network, fast for NumPy arrays; ``fcn_squeeze`` uses it as ``F``.

Each function has the arguments and results of its namesake in ``chainer.functions``; it is
Chainer's function node with another CPU implementation. What that does not cover (CuPy and
ChainerX arrays, float16, groups, double backpropagation, rare arguments) Chainer's own code
computes.
"""

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.activation.elu import ELU
from chainer.functions.array.concat import Concat
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.math.basic_math import Add
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND
from chainer.utils import conv

from layers import convolution, deconvolution, elementwise, pooling
from layers.patches import Window


def is_covered(*arrays) -> bool:
    """Whether the CPU code takes these: NumPy arrays, not empty, all float32 or all float64."""
    return (
        all(type(a) is np.ndarray and a.size for a in arrays)
        and arrays[0].dtype in (np.float32, np.float64)
        and all(a.dtype == arrays[0].dtype for a in arrays)
    )


def by_image(array: np.ndarray) -> np.ndarray:
    """The array, or a copy if its images are not contiguous."""
    return array if array[0].flags.c_contiguous else np.ascontiguousarray(array)


def double_backprop() -> bool:
    """Whether the gradient will itself be differentiated: only Chainer's own code can."""
    return chainer.config.enable_backprop


class Convolution2D(Convolution2DFunction):
    """Chainer's function node of a convolution, dilated or not."""

    def window(self, x, W) -> Window | None:
        """The window, or ``None`` where the CPU code does not cover the arguments."""
        if not is_covered(x, W) or self.groups != 1:
            return None
        if self.cover_all or self.cudnn_fast:
            return None
        stride, pad, dilate = (self.sy, self.sx), (self.ph, self.pw), (self.dy, self.dx)
        out = self._get_out_size(x.shape, W.shape)
        return Window(W.shape[2:], stride, pad, dilate, out)

    def _window(self, x, W) -> Window | None:
        standard = all(layout is None for layout in self.input_layouts)
        return self.window(x, W) if standard else None

    def forward_cpu(self, inputs):
        x, W, *b = inputs
        window = self._window(x, W)
        if window is None:
            return super().forward_cpu(inputs)
        self.retain_inputs((0, 1))
        bias = b[0] if b else None
        predicting = not chainer.config.enable_backprop
        return (convolution.convolve(by_image(x), W, bias, window, predicting),)

    def backward(self, indexes, grad_outputs):
        x, W = (v.array for v in self.get_retained_inputs())
        gy = grad_outputs[0].array
        window = None if double_backprop() else self._window(x, W)
        if window is None or not is_covered(gy, x):
            return super().backward(indexes, grad_outputs)
        gradients = convolution.convolve_backward(
            by_image(x), W, by_image(gy), window, _needs(indexes)
        )
        return _variables(gradients)


def _needs(indexes) -> convolution.Needs:
    """Which of the gradients of x, W and b are wanted."""
    return convolution.Needs(*(i in indexes for i in range(3)))


def _variables(gradients) -> list[chainer.Variable]:
    """The gradients that are not ``None``, as variables."""
    return [
        chainer.Variable(g, requires_grad=False) for g in gradients if g is not None
    ]


def convolution_2d(x, W, b=None, stride=1, pad=0, cover_all=False, **kwargs):
    """``chainer.functions.convolution_2d``; also for a dilated convolution."""
    function = Convolution2D(stride, pad, cover_all, **kwargs)
    return function.apply((x, W) if b is None else (x, W, b))[0]


class _Deconvolution2D(Deconvolution2DFunction):
    def _form(self, x, W):
        """The interleaved form, or ``None`` where the CPU code does not cover the arguments."""
        if not is_covered(x, W) or self.groups != 1 or (self.dy, self.dx) != (1, 1):
            return None
        if W.shape[2] % self.sy or W.shape[3] % self.sx:
            return None
        if any(layout is not None for layout in self.input_layouts):
            return None
        self._calc_out_size(x.shape, W.shape)
        return deconvolution.Interleave(
            (self.sy, self.sx), (self.ph, self.pw), (self.outh, self.outw)
        )

    def forward_cpu(self, inputs):
        x, W, *b = inputs
        form = self._form(x, W)
        if form is None:
            return super().forward_cpu(inputs)
        self.retain_inputs((0, 1))
        bias = b[0] if b else None
        predicting = not chainer.config.enable_backprop
        return (deconvolution.deconvolve(by_image(x), W, bias, form, predicting),)

    def backward(self, indexes, grad_outputs):
        x, W = (v.array for v in self.get_retained_inputs())
        gy = grad_outputs[0].array
        form = None if double_backprop() else self._form(x, W)
        if form is None or not is_covered(gy, x):
            return super().backward(indexes, grad_outputs)
        gradients = deconvolution.deconvolve_backward(
            by_image(x), W, by_image(gy), form, _needs(indexes)
        )
        return _variables(gradients)


def deconvolution_2d(x, W, b=None, stride=1, pad=0, outsize=None, **kwargs):
    """``chainer.functions.deconvolution_2d``."""
    function = _Deconvolution2D(stride, pad, outsize, **kwargs)
    return function.apply((x, W) if b is None else (x, W, b))[0]


class _ELU(ELU):
    def _takes(self, *arrays) -> bool:
        return is_covered(*arrays) and arrays[0].ndim > 1 and self.alpha == 1

    def forward_cpu(self, inputs):
        if not self._takes(*inputs):
            return super().forward_cpu(inputs)
        self.retain_outputs((0,))
        return (elementwise.elu(inputs[0]),)

    def backward(self, indexes, grad_outputs):
        y, gy = self.get_retained_outputs()[0].array, grad_outputs[0].array
        if double_backprop() or not self._takes(y, gy):
            return super().backward(indexes, grad_outputs)
        gx = elementwise.elu_backward(y, gy)
        return (chainer.Variable(gx, requires_grad=False),)


def elu(x, alpha=1.0):
    """``chainer.functions.elu``; fast for alpha = 1."""
    return _ELU(alpha).apply((x,))[0]


def pool_of(size: tuple[int, int], ksize: int, stride: int) -> pooling.Pool | None:
    """The windows of ``max_pooling_2d(x, ksize, stride)`` on maps of a size; ``None`` if none."""
    out = tuple(conv.get_conv_outsize(n, ksize, stride, 0, True) for n in size)
    if min(out) <= 0:
        return None
    return pooling.Pool(size, out, (ksize, ksize), (stride, stride), (0, 0))


class _MaxPooling2D(MaxPoolingND):
    _place = None

    def _pool(self, x):
        """The windows, or ``None`` where the CPU code does not cover the arguments."""
        places = self.ksize[0] * self.ksize[1]
        if not is_covered(x) or places > 255 or max(self.pad) >= min(self.ksize):
            return None
        size = x.shape[2:]
        out = [
            conv.get_conv_outsize(n, k, s, p, self.cover_all)
            for n, k, s, p in zip(size, self.ksize, self.stride, self.pad)
        ]
        if min(out) <= 0:
            return None
        return pooling.Pool(size, tuple(out), self.ksize, self.stride, self.pad)

    def forward_cpu(self, inputs):
        (x,) = inputs
        pool = self._pool(x)
        if pool is None:
            return super().forward_cpu(inputs)
        self.retain_inputs((0,))
        y, self._place = pooling.max_pool(x, pool, chainer.config.enable_backprop)
        return (y,)

    def backward(self, indexes, grad_outputs):
        if self._place is None:
            return super().backward(indexes, grad_outputs)
        x, gy = self.get_retained_inputs()[0].array, grad_outputs[0].array
        if double_backprop() or not is_covered(gy, x):
            # Finds the places of the maxima in the form that Chainer's backward needs.
            super().forward_cpu((x,))
            return super().backward(indexes, grad_outputs)
        gx = pooling.max_pool_backward(self._place, gy, self._pool(x))
        return (chainer.Variable(gx, requires_grad=False),)


def max_pooling_2d(x, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    """``chainer.functions.max_pooling_2d``."""
    if return_indices:
        return chainer.functions.max_pooling_2d(x, ksize, stride, pad, cover_all, True)
    return _MaxPooling2D(2, ksize, stride, pad, cover_all).apply((x,))[0]


class _Add(Add):
    def forward(self, inputs):
        x, y = inputs
        if not is_covered(x, y) or x.shape != y.shape:
            return super().forward(inputs)
        return (elementwise.add(x, y),)


def add(x, y):
    """``chainer.functions.add`` of two variables."""
    return _Add().apply((x, y))[0]


class _Concat(Concat):
    def forward(self, xs):
        if not is_covered(*xs) or self.axis != 1:
            return super().forward(xs)
        return (elementwise.concatenate(xs),)


def concat(xs, axis=1):
    """``chainer.functions.concat``; its gradients are views, not copies."""
    return _Concat(axis).apply(xs)[0]


def argmax(x: np.ndarray) -> np.ndarray:
    """``x.argmax(axis=1)`` of scores (N, C, H, W), as uint8 or int64; any array module."""
    if not is_covered(x) or x.ndim != 4 or x.shape[1] > 255:
        return x.argmax(axis=1)
    return elementwise.argmax(x)


def bincount(numbers, size: int):
    """How often each of 0 ... size - 1 occurs, on the device of ``numbers``, without waiting.

    Args:
        numbers: int array of any shape, values in [0, size).

    Returns:
        ndarray: int (size,); longer on the CPU if a number is larger.
    """
    if isinstance(numbers, np.ndarray):
        return np.bincount(numbers.ravel(), minlength=size)
    # CuPy's bincount brings the largest number to the host: the GPU would have to be waited
    # for. (Its atomic addition has no 64-bit integers.)
    counts = cuda.cupy.zeros(size, np.int32)
    cuda.cupyx.scatter_add(counts, numbers, cuda.cupy.ones_like(numbers, np.int32))
    return counts
