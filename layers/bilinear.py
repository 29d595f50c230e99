"""Deconvolutions that interpolate linearly; fcn_squeeze.py can start with them."""

import numpy as np


def bilinear_kernel(ksize: int, stride: int) -> np.ndarray:
    """The kernel that interpolates linearly between neighbours: float32 (ksize, ksize).

    A tent that falls from its middle to 0 in ``stride`` pixels; where the kernel is wider, the
    rest is 0. Chainer's UpsamplingDeconvFilter is the same for kernels of twice the stride; for
    16 and 4, its tent is twice as wide, and multiplies the scores by 4.
    """
    distance = np.abs(np.arange(ksize) - (ksize - 1) / 2)
    tent = np.maximum(0, 1 - distance / stride).astype(np.float32)
    return np.outer(tent, tent)


def start_bilinear(link) -> None:
    """Let a Deconvolution2D interpolate each of its maps by itself: its weights in place.

    The kernel stands on the diagonal of W (maps, maps, ksize, ksize), 0 elsewhere.
    """
    kernel = bilinear_kernel(link.W.shape[2], link.stride[0])
    link.W.array[:] = np.eye(len(link.W), dtype=np.float32)[..., None, None] * kernel
