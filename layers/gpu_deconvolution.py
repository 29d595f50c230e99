"""A deconvolution that needs little memory on a GPU without cuDNN; ``links`` uses it.

Without cuDNN (CuPy 14 dropped it) Chainer gives a deconvolution a buffer of kernel height x
width x maps at the input's size: for upsample_final at batch 20 and 32 classes 1.7 GB. As a
small convolution and an interleave (see ``deconvolution.Interleave``) it needs 0.1 GB.
"""

import chainer
import chainer.functions as F
from chainer.backends import cuda
from chainer.utils.conv_nd import as_tuple

from layers.deconvolution import Interleave


def deconvolution_2d(x, W, b, stride, pad):
    """``chainer.functions.deconvolution_2d`` by Chainer's own functions, on any device.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        W (Variable or ndarray): (C, O, kh, kw); kh, kw multiples of the stride, above pad.
        b (Variable or ndarray or None): (O,).
        stride, pad: a number, or one for each direction.

    Returns:
        Variable: (N, O, stride * (H - 1) + kh - 2 * pad, likewise).
    """
    maps, kernel = W.shape[1], W.shape[2:]
    stride, pad = as_tuple(stride, 2), as_tuple(pad, 2)
    sizes = zip(x.shape[2:], kernel, stride, pad)
    out = height, width = tuple(s * (n - 1) + k - 2 * p for n, k, s, p in sizes)
    form, (sy, sx) = Interleave(stride, pad, out), stride
    bias = None if b is None else F.repeat(b, sy * sx, axis=0)
    y = F.convolution_2d(x, form.kernel(W), bias, pad=form.window(kernel).pad)
    # (N, O * sy * sx, rows, columns) -> (N, O, rows * sy, columns * sx)
    n, _, rows, columns = y.shape
    y = y.reshape(n, maps, sy, sx, rows, columns).transpose(0, 1, 4, 2, 5, 3)
    y = y.reshape(n, maps, rows * sy, columns * sx)
    top, left = (-start for start in form.origin(0))
    return y[:, :, top : top + height, left : left + width]


def is_wanted(link: chainer.links.Deconvolution2D, x) -> bool:
    """Whether a link's input is on a GPU without cuDNN, and its arguments are covered."""
    if chainer.backend.get_array_module(x) is not cuda.cupy or cuda.cudnn_enabled:
        return False
    sizes = zip(link.W.shape[2:], as_tuple(link.stride, 2), as_tuple(link.pad, 2))
    return (
        link.outsize in (None, (None, None))
        and link.groups == 1
        and as_tuple(link.dilate, 2) == (1, 1)
        and all(k % s == 0 and p < k for k, s, p in sizes)
    )
