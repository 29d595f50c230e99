"""A deconvolution that needs little memory on a GPU without cuDNN; links uses it.

Without cuDNN (CuPy 14 dropped it) Chainer gives a deconvolution a buffer of kernel height x
width x maps at the input's size: for upsample_final at batch 20 and 32 classes 1.7 GB. Where
the kernel is a multiple of the stride, it is also a convolution with a kernel of ksize /
stride to stride^2 x as many maps, and an interleave of these maps: 0.1 GB.
"""

import chainer_compat

import chainer
import chainer.functions as F
from chainer.backends import cuda


def deconvolution_2d(x, W, b, stride, pad):
    """``chainer.functions.deconvolution_2d`` as a small convolution, on any device.

    Output row ``Y = stride * u + p - pad`` takes the kernel's rows ``stride * a + p`` and the
    input's rows ``u - a``: for each of the phases ``p`` a convolution over ``u``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        W (Variable or ndarray): (C, O, kh, kw); kh, kw multiples of the stride, above pad.
        b (Variable or ndarray or None): (O,).
        stride, pad: a number, or one for each direction.

    Returns:
        Variable: (N, O, stride * (H - 1) + kh - 2 * pad, likewise).
    """
    (maps_in, maps, kh, kw), (sy, sx), (py, px) = W.shape, pair(stride), pair(pad)
    taps_y, taps_x = kh // sy, kw // sx
    phases = F.reshape(W, (maps_in, maps, taps_y, sy, taps_x, sx))
    phases = F.flip(F.flip(phases, 2), 4)
    phases = F.transpose(phases, (1, 3, 5, 0, 2, 4))
    phases = F.reshape(phases, (maps * sy * sx, maps_in, taps_y, taps_x))
    bias = None if b is None else F.repeat(b, sy * sx, axis=0)
    y = F.convolution_2d(
        x, phases, bias, pad=(taps_y - 1 - py // sy, taps_x - 1 - px // sx)
    )

    n, _, rows, columns = y.shape
    y = F.reshape(y, (n, maps, sy, sx, rows, columns))
    y = F.transpose(y, (0, 1, 4, 2, 5, 3))
    y = F.reshape(y, (n, maps, rows * sy, columns * sx))
    height = sy * (x.shape[2] - 1) + kh - 2 * py
    width = sx * (x.shape[3] - 1) + kw - 2 * px
    top, left = py % sy, px % sx
    return y[:, :, top : top + height, left : left + width]


def is_wanted(link: chainer.links.Deconvolution2D, x) -> bool:
    """Whether a link's input is on a GPU without cuDNN, and its arguments are covered."""
    if chainer.backend.get_array_module(x) is not cuda.cupy or cuda.cudnn_enabled:
        return False
    sizes = zip(link.W.shape[2:], pair(link.stride), pair(link.pad))
    return (
        link.outsize in (None, (None, None))
        and link.groups == 1
        and pair(link.dilate) == (1, 1)
        and all(k % s == 0 and p < k for k, s, p in sizes)
    )


def pair(value) -> tuple[int, int]:
    """A number for both directions, or one for each, as a pair."""
    return tuple(value) if hasattr(value, "__getitem__") else (value, value)
