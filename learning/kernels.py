"""What random, bilinear and learnt kernels make of a small picture: the figure of the deconvolution."""

import chainer
import numpy as np
from chainer import functions as F

from dataset.image_reader import as_channels
from files.opencv import cv2
from layers.bilinear import bilinear_kernel
from learning.pictures import png, signed, stretched
from learning.subject import Subject


def figure(subject: Subject) -> dict:
    """Three kernels of the last deconvolution's shape, and one small picture through each."""
    last = subject.model.upsample_final
    ksize, stride, pad = last.W.shape[2], _single(last.stride), _single(last.pad)
    small = _small_picture(subject.photo, stride)
    found = subject.classes(subject.normalized(subject.photo)[None])
    number = int(np.bincount(found.ravel()).argmax())  # the class seen most
    kernels = {
        "random": np.random.default_rng(0)
        .normal(size=(ksize, ksize))
        .astype(np.float32),
        "bilinear": bilinear_kernel(ksize, stride),
        "learnt": last.W.array[number, number],
    }
    return {
        "ksize": ksize,
        "stride": stride,
        "pad": pad,
        "class_name": subject.args.label_table.names[number],
        "small": png(stretched(small)),
        "kernels": [
            {
                "name": name,
                "kernel": png(signed(kernel)),
                "picture": png(stretched(enlarged(small, kernel, stride, pad))),
            }
            for name, kernel in kernels.items()
        ],
    }


def enlarged(
    small: np.ndarray, kernel: np.ndarray, stride: int, pad: int
) -> np.ndarray:
    """A picture (H, W) through a deconvolution with one kernel: (H stride, W stride)."""
    with chainer.no_backprop_mode():
        x, w = small[None, None].astype(np.float32), kernel[None, None]
        return F.deconvolution_2d(x, w, stride=stride, pad=pad).array[0, 0]


def _small_picture(photo: np.ndarray, stride: int) -> np.ndarray:
    """The photo in grey, 1 / stride of its size, its mean grey level 0."""
    grey = as_channels(photo, 1)[..., 0].astype(np.float32)
    size = grey.shape[1] // stride, grey.shape[0] // stride
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small - small.mean()


def _single(pair) -> int:
    return chainer.utils.conv_nd.as_tuple(pair, 2)[0]
