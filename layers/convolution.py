"""Convolution of NumPy arrays, forward and backward, as matrix products.

Called by ``functions``, ``fused`` and ``deconvolution``. A strip (some rows of one image's
output) is one product: weights (O, C * kh * kw) @ columns (C * kh * kw, pixels), where a
column holds the input patch of one output pixel. The columns of a strip stay in the cache,
no buffer grows with the batch, and the product goes straight into the output.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from layers import threads
from layers.patches import Patches, Window

# Bytes of columns and products a strip may hold. Smaller strips fit a smaller cache, but BLAS
# copies the weights again for each: 0.5 MB strips take 1.3 times as long as 4 MB.
STRIP_BYTES = 1 << 22
# A batch of fewer images than this is cut into parts of images. Constants decide, not the
# number of workers, so that sums are taken in the same order on every machine.
TASKS = 8
# The same where no gradient will be asked for; and how many output pixels and multiplications a
# part is worth.
PREDICTION_TASKS, PREDICTION_PIXELS, PREDICTION_WORK = 4, 300, 7_000_000
# The images form so many groups at most, each with its own sum of weight gradients.
GROUPS = 16


def _strips(patches: Patches, matrix: np.ndarray) -> int:
    """Number of strips of an output, so that each takes ``STRIP_BYTES`` or less."""
    height, width = patches.window.out
    columns = height * width // patches.tile * patches.points
    return -(-columns * sum(matrix.shape[-2:]) * matrix.itemsize // STRIP_BYTES)


def forward_tasks(
    images: int, patches: Patches, matrix: np.ndarray, predicting: bool = False
) -> list[tuple]:
    """The strips of all images, as (image, (top, bottom)).

    Args:
        predicting: Whether no gradient will be asked for: see ``strips_of_prediction()``.
    """
    height, width = patches.window.out
    pixels, count = height * width, -(-TASKS // images)
    if predicting:
        work = pixels // patches.tile * matrix.size
        count = strips_of_prediction(pixels, work, images)
    strips = threads.cut(height, max(_strips(patches, matrix), count))
    return [(n, rows) for n in range(images) for rows in strips]


def strips_of_prediction(pixels: int, multiplications: int, images: int) -> int:
    """Strips of an image in a prediction, given the output's pixels and all multiplications.

    Fewer than in training. BLAS copies the weights for each strip: the last Fire modules of a photo
    of 240 x 176 pixels take 1.5 times as long in four strips of 165 pixels as in one. And to wake
    another core takes 0.08 ms, as long as 4 to 8 million multiplications.
    """
    wanted = min(pixels // PREDICTION_PIXELS, multiplications // PREDICTION_WORK)
    return max(1, -(-min(PREDICTION_TASKS, wanted) // images))


def convolve(x, weight, bias, window: Window, predicting: bool = False) -> np.ndarray:
    """Convolution: y (N, O, out_h, out_w) of x (N, C, H, W), weight (O, C, kh, kw).

    Args:
        predicting: Whether no gradient will be asked for.
    """
    matrix, patches = weight.reshape(len(weight), -1), Patches(window)
    out = np.empty((len(x), len(weight), *window.out), x.dtype)
    out_w = window.out[1]

    def strip(task) -> None:
        n, (top, bottom) = task
        # One product an image, straight into the output: tensordot copies twice.
        part = out[n].reshape(len(weight), -1)[:, top * out_w : bottom * out_w]
        np.matmul(matrix, patches.columns(x[n], top, bottom), out=part)
        if bias is not None:
            part += bias[:, None]

    threads.parallel(strip, forward_tasks(len(x), patches, matrix, predicting))
    return out


class Needs(NamedTuple):
    """Which gradients are wanted."""

    x: bool
    weight: bool
    bias: bool


def convolve_backward(x, weight, gy, window: Window, needs: Needs):
    """Gradients (gx, gw, gb) of ``convolve``, ``None`` where not needed."""
    out_w = window.out[1]

    def gradient(n: int, top: int, bottom: int) -> np.ndarray:
        return gy[n].reshape(len(weight), -1)[:, top * out_w : bottom * out_w]

    matrix = weight.reshape(len(weight), -1)
    gx, gw, gb = backward(x, matrix, gradient, Patches(window), needs)
    return gx, gw if gw is None else gw.reshape(weight.shape), gb


def backward(x, matrix, gradient: Callable, patches: Patches, needs: Needs):
    """Gradients of the input, of the weight matrix (..., M, K) and of the bias (M,).

    Args:
        gradient: Called with (image, top, bottom); returns the gradient of these output
            rows, (..., M, columns).
    """
    channels = x.shape[1]
    taps = matrix.shape[-1] // channels
    strips = threads.cut(patches.window.out[0], _strips(patches, matrix))
    groups = [range(*part) for part in threads.cut(len(x), GROUPS)]
    # Of few images, each is cut into blocks of input maps, with gradients of their own.
    blocks = threads.cut(channels, -(-TASKS // len(x)))
    gx = np.empty(x.shape, x.dtype) if needs.x else None
    gw = np.empty((len(groups), *matrix.shape), x.dtype)
    gb = np.zeros((len(groups), matrix.shape[-2]), x.dtype)

    def group(task) -> None:
        g, (first, last) = task
        part = slice(first * taps, last * taps)
        weights = matrix[..., part].swapaxes(-1, -2)  # (..., K of the block, M)
        gw_part = gw[g, ..., part]  # (..., M, K of the block)
        for n in groups[g]:
            if needs.x:
                image_gradient = patches.image_gradient(gx[n, first:last])
            for top, bottom in strips:
                out_gradient = gradient(n, top, bottom)
                if needs.weight:
                    cols = patches.columns(x[n, first:last], top, bottom)
                    cols = cols.swapaxes(-1, -2)
                    if (n, top) == (groups[g][0], 0):  # there is no sum to add to yet
                        np.matmul(out_gradient, cols, out=gw_part)
                    else:
                        gw_part += np.matmul(out_gradient, cols)
                if needs.bias and first == 0:
                    gb[g] += patches.sums(out_gradient)
                if needs.x:
                    image_gradient.add(weights, out_gradient, top, bottom)
            if needs.x:
                image_gradient.finish()

    threads.parallel(group, [(g, b) for g in range(len(groups)) for b in blocks])
    gw = gw.sum(axis=0) if needs.weight else None
    return gx, gw, gb.sum(axis=0) if needs.bias else None
