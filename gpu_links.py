"""A deconvolution that needs little memory on a GPU without cuDNN; fcn_squeeze uses it.

Without cuDNN (CuPy 14 dropped it) Chainer gives a deconvolution a buffer of kernel height x
width x maps at the input's size: for upsample_final at batch 20 and 32 classes 1.7 GB. Where
the kernel is a multiple of the stride, it is also a convolution with a kernel of ksize /
stride to stride^2 x as many maps, and an interleave of these maps: 0.1 GB.
"""

import chainer_compat

import chainer
import chainer.functions as F
from chainer.backends import cuda

import cpu_links as L


def deconvolution_2d(x, W, b, stride: tuple[int, int], pad: tuple[int, int]):
    """``chainer.functions.deconvolution_2d`` as a small convolution, on any device.

    Output row ``Y = stride * u + p - pad`` takes the kernel's rows ``stride * a + p`` and the
    input's rows ``u - a``: for each of the phases ``p`` a convolution over ``u``.

    Args:
        x (Variable or ndarray): (N, C, H, W).
        W (Variable or ndarray): (C, O, kh, kw); kh, kw multiples of the stride, above pad.
        b (Variable or ndarray or None): (O,).

    Returns:
        Variable: (N, O, stride * (H - 1) + kh - 2 * pad, likewise).
    """
    (maps_in, maps, kh, kw), (sy, sx), (py, px) = W.shape, stride, pad
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


class Deconvolution2D(L.Deconvolution2D):
    """``chainer.links.Deconvolution2D``, as a small convolution on a GPU without cuDNN."""

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """(N, C, H, W) -> (N, O, stride * (H - 1) + ksize - 2 * pad, likewise)."""
        on_gpu = chainer.backend.get_array_module(x) is cuda.cupy
        if not on_gpu or cuda.cudnn_enabled or not self._fits():
            return super().forward(x)
        return deconvolution_2d(x, self.W, self.b, _pair(self.stride), _pair(self.pad))

    def _fits(self) -> bool:
        sizes = zip(self.W.shape[2:], _pair(self.stride), _pair(self.pad))
        return (
            self.outsize in (None, (None, None))
            and self.groups == 1
            and _pair(self.dilate) == (1, 1)
            and all(k % s == 0 and p < k for k, s, p in sizes)
        )


def _pair(value) -> tuple[int, int]:
    return tuple(value) if hasattr(value, "__getitem__") else (value, value)
