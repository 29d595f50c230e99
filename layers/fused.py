"""Several layers in one function, strip by strip, where no gradient is needed.

Called by ``fcn_squeeze``. What a layer makes of a strip (some rows of an image) is still in the
cache when the next layer takes it, and the work is shared out to the cores once for all layers.
With gradients, the functions run one by one, as each of their results is needed again.
"""

import chainer
import numpy as np

import layers.functions as F
from layers import convolution, elementwise, pooling, threads
from layers.patches import Patches, Window


def squeeze_expand_elu(x, squeeze, *expansions) -> chainer.Variable:
    """``elu(concat([expansion(s) for expansion in expansions]))`` of ``s = elu(squeeze(x))``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        squeeze: a ``Convolution2D`` link, 1x1, with at most C maps.
        expansions: ``Convolution2D`` links whose outputs are of one height and width.

    Returns:
        Variable: (N, maps of all expansions, H', W').
    """
    x = chainer.as_variable(x)
    windows = _expansion_windows(x.array, squeeze, expansions)
    if windows is None:
        s = F.elu(squeeze(x))
        return F.elu(F.concat([expansion(s) for expansion in expansions]))
    parameters = [p for link in (squeeze, *expansions) for p in (link.W, link.b)]
    return _SqueezeExpandELU(windows).apply((x, *parameters))[0]


def convolve_pool_elu(x, link, ksize: int, stride: int) -> chainer.Variable:
    """``elu(max_pooling_2d(link(x), ksize, stride))``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        link: a ``Convolution2D`` link.

    Returns:
        Variable: (N, maps of the link, H', W').
    """
    x = chainer.as_variable(x)
    window = _window(x.array, link)
    pool = None if window is None else F.pool_of(window.out, ksize, stride)
    if pool is None:
        return F.elu(F.max_pooling_2d(link(x), ksize, stride))
    return _ConvolutionPoolingELU(window, pool).apply((x, link.W, link.b))[0]


def _expansion_windows(x, squeeze, expansions) -> list[Window] | None:
    """The windows of the expansions, or ``None`` where the layers must do it one by one."""
    window = _window(x, squeeze)
    if window is None or not window.is_pointwise(x.shape[2:]):
        return None
    like_squeezed = x[:, : len(squeeze.W.array)]  # of the shape that the squeeze gives
    windows = [_window(like_squeezed, link) for link in expansions]
    if None in windows or len({window.out for window in windows}) > 1:
        return None
    return windows


def _window(x, link) -> Window | None:
    """The window of a convolution, or ``None`` where the layers must do it one by one."""
    weight = link.W.array
    if chainer.config.enable_backprop or weight is None or link.b is None:
        return None
    if link.cudnn_fast or not F.is_covered(x, link.b.array):
        return None
    if x.ndim != 4 or x.shape[1] != weight.shape[1] or not x[0].flags.c_contiguous:
        return None  # if the shape is a mistake, the link says so
    function = F.Convolution2D(link.stride, link.pad, dilate=link.dilate)
    return function.window(x, weight)


def _tasks(images: int, size: tuple[int, int], bytes_: int, work: int) -> list[tuple]:
    """Cut the output's rows of all images into strips, as (image, (top, bottom)).

    Args:
        size: rows to cut, and the convolutions' output pixels in each.
        bytes_: of their columns and products for one pixel.
        work: multiplications for one pixel.
    """
    rows, width = size
    pixels = rows * width
    strips = convolution.strips_of_prediction(pixels, pixels * work, images)
    count = max(-(-pixels * bytes_ // convolution.STRIP_BYTES), strips)
    return [(n, part) for n in range(images) for part in threads.cut(rows, count)]


class _SqueezeExpandELU(chainer.FunctionNode):
    """The inputs are x, then W and b of the squeeze and of each expansion; no backward."""

    def __init__(self, windows: list[Window]) -> None:
        self._windows = windows

    def forward_cpu(self, inputs):
        x, squeeze, squeeze_bias, *parameters = inputs
        weights = [weight.reshape(len(weight), -1) for weight in parameters[::2]]
        biases, windows = parameters[1::2], self._windows
        edges = np.cumsum([0, *map(len, weights)])
        height, width = windows[0].out
        y = np.empty((len(x), int(edges[-1]), height, width), x.dtype)
        squeeze = squeeze.reshape(len(squeeze), -1)
        x_w = x.shape[3]

        def strip(task) -> None:
            n, (top, bottom) = task
            reached = [window.rows(top, bottom, x.shape[2]) for window in windows]
            first, last = min(r[0] for r in reached), max(r[1] for r in reached)
            rows = x[n].reshape(x.shape[1], -1)[:, first * x_w : last * x_w]
            squeezed = np.matmul(squeeze, rows)
            elementwise.add_bias_and_elu(squeezed, squeeze_bias)
            squeezed = squeezed.reshape(len(squeeze), last - first, x_w)
            for i, window in enumerate(windows):
                maps = y[n, edges[i] : edges[i + 1]].reshape(len(weights[i]), -1)
                part = maps[:, top * width : bottom * width]
                columns = _columns(squeezed, window, top, bottom, first)
                np.matmul(weights[i], columns, out=part)
                elementwise.add_bias_and_elu(part, biases[i])

        bytes_ = x.itemsize * sum(sum(w.shape) for w in weights)
        work = sum(w.size for w in weights)
        threads.parallel(strip, _tasks(len(x), (height, width), bytes_, work))
        return (y,)


def _columns(rows, window: Window, top: int, bottom: int, first: int):
    """The columns of output rows [top, bottom), of input rows that begin with ``first``."""
    if window.kernel == (1, 1) and window.stride == (1, 1) and window.pad == (0, 0):
        width = rows.shape[2]
        return rows.reshape(len(rows), -1)[
            :, (top - first) * width : (bottom - first) * width
        ]
    shifted = window._replace(pad=(window.pad[0] + first, window.pad[1]))
    return Patches(shifted).columns(rows, top, bottom)


class _ConvolutionPoolingELU(chainer.FunctionNode):
    """The inputs are x, W and b; there is no backward."""

    def __init__(self, window: Window, pool: pooling.Pool) -> None:
        self._window, self._pool = window, pool

    def forward_cpu(self, inputs):
        x, weight, bias = inputs
        window, pool = self._window, self._pool
        matrix, patches = weight.reshape(len(weight), -1), Patches(window)
        y = np.empty((len(x), len(weight), *pool.out), x.dtype)

        def strip(task) -> None:
            n, (top, bottom) = task
            part = pool.strip(top, bottom)
            first = top * pool.stride[0]
            columns = patches.columns(x[n], first, first + part.size[0])
            maps = np.matmul(matrix, columns).reshape(len(weight), *part.size)
            largest = pooling.maxima(maps, part)
            flat = largest.reshape(len(weight), -1)
            elementwise.add_bias_and_elu(flat, bias)
            y[n, :, top:bottom] = largest

        rows = pool.out[0], pool.stride[0] * window.out[1]
        bytes_ = x.itemsize * sum(matrix.shape)
        threads.parallel(strip, _tasks(len(x), rows, bytes_, matrix.size))
        return (y,)
