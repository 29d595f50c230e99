"""Convolutions, concatenation and ELU in one function, where no gradient is needed.

Called by ``fcn_squeeze``. Bias and ELU are applied to each part of a product while it is in
the cache, and each convolution writes into its maps of the one result. With gradients, the
functions run one by one, as each of their results is needed again.
"""

import chainer
import numpy as np

import layers.functions as F
from layers import convolution, elementwise


def convolve_elu(x, *convolutions) -> chainer.Variable:
    """``elu(concat([convolution(x) for convolution in convolutions]))``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        convolutions: ``Convolution2D`` links whose outputs are of one height and width.

    Returns:
        Variable: (N, maps of all, H', W').
    """
    x = chainer.as_variable(x)
    windows = [_window(x.array, link) for link in convolutions]
    if None in windows or len({window.out for window in windows}) > 1:
        maps = [link(x) for link in convolutions]
        return F.elu(F.concat(maps, axis=1) if len(maps) > 1 else maps[0])
    parameters = [p for link in convolutions for p in (link.W, link.b)]
    return _ConvolutionsELU(windows).apply((x, *parameters))[0]


def _window(x, link) -> convolution.Window | None:
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


class _ConvolutionsELU(chainer.FunctionNode):
    """The inputs are x, then W and b of each convolution; there is no backward."""

    def __init__(self, windows: list[convolution.Window]) -> None:
        self._windows = windows

    def forward_cpu(self, inputs):
        x, weights, biases = inputs[0], inputs[1::2], inputs[2::2]
        edges = np.cumsum([0, *map(len, weights)])
        size = len(x), int(edges[-1]), *self._windows[0].out
        y = np.empty(size, x.dtype)
        for i, window in enumerate(self._windows):
            part = y[:, edges[i] : edges[i + 1]]
            convolution.convolve(
                x, weights[i], biases[i], window, part, elementwise.add_bias_and_elu
            )
        return (y,)
