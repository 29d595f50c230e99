"""Chainer's convolution links, fast on the CPU; ``fcn_squeeze`` uses them as ``L``.

They call ``functions``, and on a GPU without cuDNN ``gpu_deconvolution``. Arguments,
parameters, initial values and weight files are those of ``chainer.links``; a
``Convolution2D`` also reads and writes the files of a ``DilatedConvolution2D``.
"""

import chainer
import chainer.links as L

import layers.functions as F
from layers import gpu_deconvolution


class Convolution2D(L.Convolution2D):
    """``chainer.links.Convolution2D`` with the function of ``functions``."""

    def forward(self, x):
        x = chainer.as_variable(x)
        if self.cudnn_fast:
            return super().forward(x)
        if self.W.raw_array is None:
            self._initialize_params(x.shape[1])
        return F.convolution_2d(
            x,
            self.W,
            self.b,
            self.stride,
            self.pad,
            dilate=self.dilate,
            groups=self.groups,
        )


class Deconvolution2D(L.Deconvolution2D):
    """``chainer.links.Deconvolution2D`` with the function of ``functions``."""

    def forward(self, x):
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        if gpu_deconvolution.is_wanted(self, x):
            return gpu_deconvolution.deconvolution_2d(
                x, self.W, self.b, self.stride, self.pad
            )
        return F.deconvolution_2d(
            x,
            self.W,
            self.b,
            self.stride,
            self.pad,
            self.outsize,
            dilate=self.dilate,
            groups=self.groups,
        )
