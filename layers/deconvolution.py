"""Deconvolution of NumPy arrays, forward and backward, as a small convolution.

Called by ``functions``; ``gpu_deconvolution`` uses its ``Interleave``.
"""

import weakref
from typing import NamedTuple

import numpy as np

from layers import threads, winograd
from layers.convolution import Needs, backward, forward_tasks
from layers.patches import Patches, Window, overlap


class PhasePatches(Patches):
    """Patches of the small convolution, its outputs as rows (pixels, maps).

    So the ``sx`` neighbours of an output row lie together in memory when they are interleaved.
    """

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        return matrix

    def outputs(self, cols: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Products (1, columns, M) of cols (columns, K) and weights (K, M)."""
        phases = np.empty((1, len(cols), weights.shape[1]), cols.dtype)
        np.matmul(cols, weights, out=phases[0])
        return phases

    def output_gradients(self, phases: np.ndarray) -> np.ndarray:
        """The output's gradient (1, columns, M) as (M, columns)."""
        return phases[0].T

    def weight_gradients(self, gw: np.ndarray) -> np.ndarray:
        return gw


class Interleave(NamedTuple):
    """A deconvolution as a small convolution to stride^2 x as many maps, then interleaved.

    Write an output row as ``Y = stride * u + p - pad`` with a phase ``p`` below the stride.
    It is the sum over ``a`` of kernel row ``stride * a + p`` times input row ``u - a``. So
    the rows of one phase are a convolution with ``ksize / stride`` taps, and row ``u`` of
    phase ``p`` goes to row ``Y``; the same along the columns. A 16x16 kernel of stride 4
    becomes 16 phases with 4x4 taps, and the buffer of columns 16x smaller.

    ``stride``, ``pad`` and ``out``, the output's size, are (rows, columns).
    """

    stride: tuple[int, int]
    pad: tuple[int, int]
    out: tuple[int, int]

    def patches(self, kernel: tuple[int, int]) -> "PhasePatches | winograd.Patches":
        """The patches of the small convolution."""
        window = self.window(kernel)
        if window.kernel[1] == winograd.TAPS:
            return winograd.Patches(window)
        return PhasePatches(window)

    def window(self, kernel: tuple[int, int]) -> Window:
        """The window of the small convolution: its outputs are the rows and columns ``u``."""
        taps = kernel[0] // self.stride[0], kernel[1] // self.stride[1]
        first = [pad // s for pad, s in zip(self.pad, self.stride)]
        last = [(n - 1 + p) // s for n, p, s in zip(self.out, self.pad, self.stride)]
        pad = taps[0] - 1 - first[0], taps[1] - 1 - first[1]
        size = last[0] - first[0] + 1, last[1] - first[1] + 1
        return Window(taps, (1, 1), pad, (1, 1), size)

    def kernel(self, weight):
        """Weight (C, O, kh, kw) as the small convolution's (O * sy * sx, C, kh/sy, kw/sx).

        Taps go from last to first, as a convolution has them. Any array or Variable.
        """
        c, o, kh, kw = weight.shape
        sy, sx = self.stride
        taps = weight.reshape(c, o, kh // sy, sy, kw // sx, sx)[:, :, ::-1, :, ::-1]
        # (C, O, ty, sy, tx, sx) -> (O, sy, sx, C, ty, tx)
        phases = taps.transpose(1, 3, 5, 0, 2, 4)
        return phases.reshape(o * sy * sx, c, kh // sy, kw // sx)

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """``kernel`` as a contiguous matrix (O * sy * sx, C * taps)."""
        return np.ascontiguousarray(self.kernel(weight)).reshape(
            weight.shape[1] * self.stride[0] * self.stride[1], -1
        )

    def weight(self, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of ``matrix``."""
        c, o, kh, kw = shape
        sy, sx = self.stride
        phases = matrix.reshape(o, sy, sx, c, kh // sy, kw // sx)[..., ::-1, ::-1]
        return np.ascontiguousarray(phases.transpose(3, 0, 4, 1, 5, 2)).reshape(shape)

    def origin(self, top: int) -> tuple[int, int]:
        """Where the interleaved strip that begins at ``u = top`` lies: (row, column) of y."""
        (sy, sx), (py, px) = self.stride, self.pad
        return (py // sy + top) * sy - py, px // sx * sx - px


# Neighbouring floats of 8 or 16 bytes are copied as one item: 0.25 ns a float, not 0.70.
_RUNS = {8: np.complex64, 16: np.complex128}


def _as_runs(array: np.ndarray) -> np.ndarray:
    """View the contiguous last axis as one item, if there is a type of that size."""
    kind = _RUNS.get(array.shape[-1] * array.itemsize)
    return array if kind is None else array.view(kind)


# Columns of a product, maps times phases: with more, a strip's products leave the cache
# before they are interleaved; with fewer, a product is slower.
PRODUCT_WIDTH = 128


# Forms of weights, by the identity and kind of the weights, each with the bytes it was made of.
_kept: dict[tuple, tuple[bytes, list[np.ndarray]]] = {}


def _forms(weight: np.ndarray, form: Interleave) -> list[np.ndarray]:
    """The weights as the products need them, (points, C * taps, maps of a part * sy * sx)."""
    maps, per_map = weight.shape[1], form.stride[0] * form.stride[1]
    patches = form.patches(weight.shape[2:])
    matrix = patches.weights(form.matrix(weight)).swapaxes(-1, -2)
    # Contiguous, BLAS takes 0.9 of the time.
    return [
        np.ascontiguousarray(matrix[..., first * per_map : last * per_map])
        for first, last in _parts(maps, per_map)
    ]


def _parts(maps: int, per_map: int) -> list[tuple[int, int]]:
    """Cut the maps so that a product has about ``PRODUCT_WIDTH`` columns."""
    return threads.cut(maps, -(-maps * per_map // PRODUCT_WIDTH))


def _kept_forms(weight: np.ndarray, form: Interleave) -> list[np.ndarray]:
    """``_forms``, from the call before unless a bit of the weights has changed since.

    The bytes are compared because an array does not tell that somebody has written into it. For
    the last layer at 32 classes that takes 0.1 ms; making the forms takes 1.9.
    """
    key = id(weight), weight.shape, weight.dtype, form.stride
    content = weight.tobytes()
    before, forms = _kept.get(key, (None, None))
    if before == content:
        return forms
    if before is None:
        weakref.finalize(weight, _kept.pop, key, None)
    forms = _forms(weight, form)
    _kept[key] = content, forms
    return forms


def deconvolve(
    x, weight, bias, form: Interleave, predicting: bool = False
) -> np.ndarray:
    """Deconvolution: y (N, O, *form.out) of x (N, C, H, W), weight (C, O, kh, kw).

    The kernel must be a multiple of the stride in both directions.

    Args:
        predicting: Whether no gradient will be asked for: the next call is likely to have the same
            weights, whose forms are kept for it.
    """
    patches, maps, (sy, sx) = (
        form.patches(weight.shape[2:]),
        weight.shape[1],
        form.stride,
    )
    parts = _parts(maps, sy * sx)
    weights = (_kept_forms if predicting else _forms)(weight, form)
    width, tile = patches.window.out[1], patches.tile
    y = np.empty((len(x), maps, *form.out), x.dtype)

    def strip(task) -> None:
        n, (top, bottom) = task
        rows = bottom - top
        cols = patches.columns(x[n], top, bottom).swapaxes(-1, -2)
        for (first, last), weights_of_part in zip(parts, weights):
            phases = patches.outputs(cols, weights_of_part)
            # (tile, pixels / tile, maps * sy * sx) -> (maps, rows * sy, width * sx)
            phases = phases.reshape(tile, rows, width // tile, last - first, sy, sx)
            size = last - first, rows, sy, width // tile, tile, sx
            canvas = np.empty(size, x.dtype)
            _as_runs(canvas)[...] = _as_runs(phases).transpose(3, 1, 4, 2, 0, 5)
            canvas = canvas.reshape(last - first, rows * sy, width * sx)
            inside, target = overlap(canvas.shape[1:], form.out, form.origin(top))
            part = y[n, first:last][target]
            if bias is None:
                part[...] = canvas[inside]
            else:
                np.add(canvas[inside], bias[first:last, None, None], out=part)

    threads.parallel(strip, forward_tasks(len(x), patches, weights[0], predicting))
    return y


def deconvolve_backward(x, weight, gy, form: Interleave, needs: Needs):
    """Gradients (gx, gw, gb) of ``deconvolve``, ``None`` where not needed."""
    patches, maps, (sy, sx) = (
        form.patches(weight.shape[2:]),
        weight.shape[1],
        form.stride,
    )
    matrix = patches.weights(form.matrix(weight))
    width, tile = patches.window.out[1], patches.tile

    def gradient(n: int, top: int, bottom: int) -> np.ndarray:
        rows = bottom - top
        canvas = np.empty((maps, rows * sy, width * sx), gy.dtype)
        inside, source = overlap(canvas.shape[1:], form.out, form.origin(top))
        if canvas[inside].shape != canvas.shape:
            canvas.fill(0)
        canvas[inside] = gy[n][source]
        # (maps, rows * sy, width * sx) -> (tile, pixels / tile, maps * sy * sx)
        canvas = _as_runs(canvas.reshape(maps, rows, sy, width // tile, tile, sx))
        phases = np.empty((tile, rows, width // tile, maps, sy, sx), gy.dtype)
        _as_runs(phases)[...] = canvas.transpose(4, 1, 3, 0, 2, 5)
        return patches.output_gradients(phases.reshape(tile, -1, maps * sy * sx))

    gx, gw, gb = backward(x, matrix, gradient, patches, needs)
    if gw is not None:
        gw = form.weight(patches.weight_gradients(gw), weight.shape)
    return gx, gw, gb if gb is None else gb.reshape(maps, -1).sum(axis=1)
