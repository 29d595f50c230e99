"""Convolution, concatenation and ELU in one pass, where no gradient will be asked for.

Called by ``fcn_squeeze``. With gradients each of them keeps its result, and the result is in
memory anyway; without, bias and ELU are applied to what a product has just left in the cache,
and each convolution writes into its part of the one result.
"""

import chainer_compat

import chainer
import numpy as np
from chainer.utils import conv, conv_nd

import layers.functions as F
from layers import convolution, elementwise


def convolve_elu(x, *convolutions) -> chainer.Variable:
    """``elu(concat([convolution(x) for convolution in convolutions]))``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        convolutions: Links, ``Convolution2D`` or ``DilatedConvolution2D``, whose outputs are
            of one height and width.

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
    if getattr(link, "groups", 1) != 1 or getattr(link, "cudnn_fast", False):
        return None
    if not F.is_covered(x, weight, link.b.array) or not x[0].flags.c_contiguous:
        return None
    if x.ndim != 4 or x.shape[1] != weight.shape[1]:
        return None  # a mistake, which the link names
    stride, pad, dilate = (
        conv_nd.as_tuple(v, 2) for v in (link.stride, link.pad, link.dilate)
    )
    out = tuple(
        conv.get_conv_outsize(n, k, s, p, d=d)
        for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], stride, pad, dilate)
    )
    if min(out) <= 0:
        return None
    return convolution.Window(weight.shape[2:], stride, pad, dilate, out)


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
