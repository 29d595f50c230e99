"""Convolution and deconvolution of NumPy arrays, forward and backward, as matrix products.

Called by ``cpu_functions``. Everything is done strip by strip: some rows of one image's
output at a time, so that its columns (the input patches, one a column) stay in the cache
and no buffer grows with the batch. The product of a strip goes straight into the output.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import cpu_threads

# Bytes of columns and products a strip may hold. Smaller strips stay nearer in the cache, but
# BLAS packs the weights again for each: 0.5 MB strips take 1.3 times as long as 4 MB.
STRIP_BYTES = 1 << 22
# A pass over fewer images than this is cut into parts of images. The constants here, not the
# number of workers, decide the cut, so that sums are in the same order on every machine.
TASKS = 8
# Weight gradients that are held at once at most: more would only help more cores than that.
GROUPS = 16


class Window(NamedTuple):
    """Where the patches of a convolution lie.

    ``pad`` is at the top and left; what the output size needs at the bottom and right is
    padded, too.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilate: tuple[int, int]
    out: tuple[int, int]

    def is_pointwise(self, image_size: tuple[int, int]) -> bool:
        """Whether the columns are the image itself."""
        return (
            self.kernel == (1, 1)
            and self.stride == (1, 1)
            and self.pad == (0, 0)
            and self.out == tuple(image_size)
        )

    def reach(self, axis: int, outputs: int) -> int:
        """Input rows (axis 0) or columns (axis 1) that so many outputs look at."""
        spread = (self.kernel[axis] - 1) * self.dilate[axis]
        return (outputs - 1) * self.stride[axis] + spread + 1


def columns(image: np.ndarray, window: Window, top: int, bottom: int) -> np.ndarray:
    """Return the patches of output rows [top, bottom), one a column.

    Args:
        image: (C, H, W).

    Returns:
        (C * kh * kw, (bottom - top) * out_w); a view of the image for a 1x1 kernel.
    """
    channels, height, width = image.shape
    (kh, kw), (_, out_w) = window.kernel, window.out
    if window.is_pointwise((height, width)):
        return image.reshape(channels, -1)[:, top * out_w : bottom * out_w]
    rows = bottom - top
    padded = cpu_threads.zeros(
        (channels, window.reach(0, rows), window.reach(1, out_w)), image.dtype
    )
    y0, x0 = top * window.stride[0] - window.pad[0], -window.pad[1]
    inside, source = _overlap(padded.shape[1:], (height, width), (y0, x0))
    padded[inside] = image[source]
    c, y, x = padded.strides
    (sy, sx), (dy, dx) = window.stride, window.dilate
    # ndarray() instead of as_strided(): 1 us instead of 6, and there are many strips.
    patches = np.ndarray(
        (channels, kh, kw, rows, out_w),
        image.dtype,
        padded,
        strides=(c, y * dy, x * dx, y * sy, x * sx),
    )
    result = cpu_threads.empty(patches.shape, image.dtype)
    result[...] = patches
    return result.reshape(channels * kh * kw, rows * out_w)


def _overlap(size, image_size, origin) -> tuple[tuple, tuple]:
    """Indices of maps where a canvas at ``origin`` lies on an image: (canvas, image)."""
    inside, source = [slice(None)], [slice(None)]
    for n, limit, start in zip(size, image_size, origin):
        first, last = max(start, 0), min(start + n, limit)
        inside.append(slice(first - start, max(last, first) - start))
        source.append(slice(first, max(last, first)))
    return tuple(inside), tuple(source)


def _add_columns(
    padded: np.ndarray, cols: np.ndarray, window: Window, top: int
) -> None:
    """Add the gradient of columns to the padded image they were taken from."""
    kh, kw = window.kernel
    (sy, sx), (dy, dx), out_w = window.stride, window.dilate, window.out[1]
    cols = cols.reshape(len(padded), kh, kw, -1, out_w)
    rows = cols.shape[3]
    for i in range(kh):
        y = top * sy + i * dy
        for j in range(kw):
            x = j * dx
            target = padded[
                :, y : y + (rows - 1) * sy + 1 : sy, x : x + (out_w - 1) * sx + 1 : sx
            ]
            target += cols[:, i, j]


def _cut(length: int, count: int) -> list[tuple[int, int]]:
    """Cut ``range(length)`` into ``count`` parts [first, last), fewer if it is shorter."""
    count = max(1, min(count, length))
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def _strips(window: Window, weights: int, itemsize: int) -> int:
    """Into how many strips to cut an output whose matrix of weights has rows + columns."""
    size = weights * window.out[0] * window.out[1] * itemsize
    return -(-size // STRIP_BYTES)


def _forward_tasks(images: int, window: Window, matrix: np.ndarray) -> list[tuple]:
    """The (image, (top, bottom)) of all strips."""
    count = _strips(window, sum(matrix.shape), matrix.itemsize)
    cut = _cut(window.out[0], max(count, -(-TASKS // images)))
    return [(n, rows) for n in range(images) for rows in cut]


def convolve(x, weight, bias, window: Window) -> np.ndarray:
    """Convolution: y (N, O, out_h, out_w) of x (N, C, H, W), weight (O, C, kh, kw)."""
    matrix = weight.reshape(len(weight), -1)
    y = cpu_threads.empty((len(x), len(weight), *window.out), x.dtype)
    out_w = window.out[1]

    def strip(task) -> None:
        n, (top, bottom) = task
        # One product an image, straight into the output: tensordot copies twice.
        part = y[n].reshape(len(weight), -1)[:, top * out_w : bottom * out_w]
        np.matmul(matrix, columns(x[n], window, top, bottom), out=part)
        if bias is not None:
            part += bias[:, None]

    cpu_threads.parallel(strip, _forward_tasks(len(x), window, matrix))
    return y


def convolve_backward(x, weight, gy, window: Window, need_gx: bool, need_gw: bool):
    """Gradients (gx, gw) of ``convolve``, ``None`` where not needed."""
    out_w = window.out[1]

    def gradient(n: int, top: int, bottom: int) -> np.ndarray:
        return gy[n].reshape(len(weight), -1)[:, top * out_w : bottom * out_w]

    matrix = weight.reshape(len(weight), -1)
    gx, gw = _backward(x, matrix, gradient, window, need_gx, need_gw)
    return gx, gw if gw is None else gw.reshape(weight.shape)


def _backward(x, matrix, gradient: Callable, window: Window, need_gx, need_gw):
    """Gradients of the input and of the weight matrix (M, C * kh * kw).

    Args:
        gradient: Called with (image, top, bottom), returns the output's gradient in these
            rows, (M, (bottom - top) * out_w).
    """
    channels = x.shape[1]
    taps = matrix.shape[1] // channels
    cut = _cut(window.out[0], _strips(window, sum(matrix.shape), x.itemsize))
    groups = [range(*part) for part in _cut(len(x), GROUPS)]
    # A few images are cut into blocks of maps, each with its own part of the gradients.
    blocks = _cut(channels, -(-TASKS // len(x)))
    gx = cpu_threads.empty(x.shape, x.dtype) if need_gx else None
    gw = np.zeros((len(groups), *matrix.shape), x.dtype) if need_gw else None

    def group(task) -> None:
        g, (first, last) = task
        block = slice(first, last)
        part = slice(first * taps, last * taps)
        for n in groups[g]:
            image_gradient = (
                None if gx is None else _ImageGradient(gx[n, block], window)
            )
            for top, bottom in cut:
                out_gradient = gradient(n, top, bottom)
                if gw is not None:
                    cols = columns(x[n, block], window, top, bottom)
                    product = cpu_threads.empty(gw[g, :, part].shape, x.dtype)
                    gw[g, :, part] += np.matmul(out_gradient, cols.T, out=product)
                if gx is not None:
                    image_gradient.add(matrix[:, part].T, out_gradient, top, bottom)
            if gx is not None:
                image_gradient.finish()

    cpu_threads.parallel(group, [(g, b) for g in range(len(groups)) for b in blocks])
    return gx, None if gw is None else gw.sum(axis=0)


class _ImageGradient:
    """Collects the gradient of one image's maps, strip by strip."""

    def __init__(self, gx: np.ndarray, window: Window) -> None:
        self.gx, self.window = gx, window
        self.pointwise = window.is_pointwise(gx.shape[1:])
        if not self.pointwise:
            reach = window.reach(0, window.out[0]), window.reach(1, window.out[1])
            self.padded = cpu_threads.zeros((len(gx), *reach), gx.dtype)

    def add(self, matrix, out_gradient, top: int, bottom: int) -> None:
        out_w = self.window.out[1]
        if self.pointwise:
            part = self.gx.reshape(len(self.gx), -1)[:, top * out_w : bottom * out_w]
            np.matmul(matrix, out_gradient, out=part)
            return
        cols = cpu_threads.empty((len(matrix), (bottom - top) * out_w), self.gx.dtype)
        np.matmul(matrix, out_gradient, out=cols)
        _add_columns(self.padded, cols, self.window, top)

    def finish(self) -> None:
        if self.pointwise:
            return
        origin = -self.window.pad[0], -self.window.pad[1]
        inside, source = _overlap(self.padded.shape[1:], self.gx.shape[1:], origin)
        if self.padded[inside].shape != self.gx.shape:
            self.gx.fill(0)  # rows or columns that no window looks at
        self.gx[source] = self.padded[inside]


class Interleave(NamedTuple):
    """How a deconvolution becomes a small convolution to stride^2 x as many maps.

    Row ``Y`` of the output is ``Y + pad = stride * u + p``: it takes the kernel's rows
    ``stride * a + p`` and the input's rows ``u - a``. So for each of the phases ``p`` the
    rows ``u`` are a convolution with a kernel of ``ksize / stride`` taps, and its maps are
    interleaved. A 16x16 kernel with stride 4 needs columns for 4x4 taps only: 16x smaller.
    """

    stride: tuple[int, int]
    pad: tuple[int, int]
    out: tuple[int, int]

    def window(self, kernel: tuple[int, int]) -> Window:
        taps = kernel[0] // self.stride[0], kernel[1] // self.stride[1]
        first = [pad // s for pad, s in zip(self.pad, self.stride)]
        last = [(n - 1 + p) // s for n, p, s in zip(self.out, self.pad, self.stride)]
        pad = taps[0] - 1 - first[0], taps[1] - 1 - first[1]
        size = last[0] - first[0] + 1, last[1] - first[1] + 1
        return Window(taps, (1, 1), pad, (1, 1), size)

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """Weight (C, O, kh, kw) as (O * sy * sx, C * taps), taps from last to first."""
        c, o, kh, kw = weight.shape
        sy, sx = self.stride
        phases = weight.reshape(c, o, kh // sy, sy, kw // sx, sx)[:, :, ::-1, :, ::-1]
        order = np.ascontiguousarray(phases.transpose(1, 3, 5, 0, 2, 4))
        return order.reshape(o * sy * sx, -1)

    def weight(self, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of ``matrix``."""
        c, o, kh, kw = shape
        sy, sx = self.stride
        phases = matrix.reshape(o, sy, sx, c, kh // sy, kw // sx)[..., ::-1, ::-1]
        return np.ascontiguousarray(phases.transpose(3, 0, 4, 1, 5, 2)).reshape(shape)

    def origin(self, top: int) -> tuple[int, int]:
        """Row and column of the output where the canvas of the strip at ``top`` begins."""
        (sy, sx), (py, px) = self.stride, self.pad
        return (py // sy + top) * sy - py, px // sx * sx - px


# Neighbouring output pixels are moved as one: 0.25 ns a float instead of 0.70.
_RUNS = {8: np.complex64, 16: np.complex128}


def _as_runs(array: np.ndarray) -> np.ndarray:
    """View the last axis, contiguous, as one item where there is a type of that size."""
    kind = _RUNS.get(array.shape[-1] * array.itemsize)
    return array if kind is None else array.view(kind)


def deconvolve(x, weight, bias, form: Interleave) -> np.ndarray:
    """Deconvolution: y (N, O, *form.out) of x (N, C, H, W), weight (C, O, kh, kw).

    The kernel must be a multiple of the stride in both directions.
    """
    window, matrix = form.window(weight.shape[2:]), form.matrix(weight)
    maps, (sy, sx), width = weight.shape[1], form.stride, window.out[1]
    y = cpu_threads.empty((len(x), maps, *form.out), x.dtype)

    def strip(task) -> None:
        n, (top, bottom) = task
        rows = bottom - top
        phases = cpu_threads.empty((rows * width, len(matrix)), x.dtype)
        np.matmul(columns(x[n], window, top, bottom).T, matrix.T, out=phases)
        phases = _as_runs(phases.reshape(rows, width, maps, sy, sx))
        canvas = cpu_threads.empty((maps, rows, sy, width, sx), x.dtype)
        _as_runs(canvas)[...] = phases.transpose(2, 0, 3, 1, 4)
        canvas = canvas.reshape(maps, rows * sy, width * sx)
        inside, target = _overlap(canvas.shape[1:], form.out, form.origin(top))
        if bias is None:
            y[n][target] = canvas[inside]
        else:
            np.add(canvas[inside], bias[:, None, None], out=y[n][target])

    cpu_threads.parallel(strip, _forward_tasks(len(x), window, matrix))
    return y


def deconvolve_backward(x, weight, gy, form: Interleave, need_gx: bool, need_gw: bool):
    """Gradients (gx, gw) of ``deconvolve``, ``None`` where not needed."""
    window, matrix = form.window(weight.shape[2:]), form.matrix(weight)
    maps, (sy, sx), width = weight.shape[1], form.stride, window.out[1]

    def gradient(n: int, top: int, bottom: int) -> np.ndarray:
        rows = bottom - top
        canvas = cpu_threads.empty((maps, rows * sy, width * sx), gy.dtype)
        inside, source = _overlap(canvas.shape[1:], form.out, form.origin(top))
        if canvas[inside].shape != canvas.shape:
            canvas.fill(0)
        canvas[inside] = gy[n][source]
        canvas = _as_runs(canvas.reshape(maps, rows, sy, width, sx))
        phases = cpu_threads.empty((rows, width, maps, sy, sx), gy.dtype)
        _as_runs(phases)[...] = canvas.transpose(1, 3, 0, 2, 4)
        return phases.reshape(rows * width, len(matrix)).T

    gx, gw = _backward(x, matrix, gradient, window, need_gx, need_gw)
    return gx, gw if gw is None else form.weight(gw, weight.shape)


def bias_gradient(gy: np.ndarray) -> np.ndarray:
    """Sum gy (N, O, H, W) over images and pixels."""
    sums = np.empty(gy.shape[:2], gy.dtype)

    def image(n: int) -> None:
        gy[n].reshape(gy.shape[1], -1).sum(axis=1, out=sums[n])

    cpu_threads.parallel(image, range(len(gy)))
    return sums.sum(axis=0)
