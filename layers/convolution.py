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


class Window(NamedTuple):
    """Where the patches of a convolution lie; pairs are (rows, columns).

    ``pad`` is the padding at the top and left; at the bottom and right there is as much as
    the output size ``out`` needs.
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
        """Input rows (axis 0) or columns (axis 1) that so many outputs depend on."""
        spread = (self.kernel[axis] - 1) * self.dilate[axis]
        return (outputs - 1) * self.stride[axis] + spread + 1

    def rows(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """Rows [first, last) of an input of a height that output rows [top, bottom) see."""
        start = top * self.stride[0] - self.pad[0]
        last = start + self.reach(0, bottom - top)
        return max(start, 0), min(last, height)


class Patches:
    """Turns an image's patches into the columns of a matrix, and gradients back.

    ``winograd.Patches`` does the same with fewer multiplications.
    """

    tile = 1  # neighbouring outputs that one column gives
    points = 1  # matrix products that it takes part in

    def __init__(self, window: Window) -> None:
        self.window = window

    def columns(self, image: np.ndarray, top: int, bottom: int) -> np.ndarray:
        """Return the patches of output rows [top, bottom), one a column.

        Args:
            image: (C, H, W).

        Returns:
            ndarray: (C * kh * kw, (bottom - top) * out_w); a view of the image for a 1x1
            kernel.
        """
        window = self.window
        if window.is_pointwise(image.shape[1:]):
            out_w = window.out[1]
            return image.reshape(len(image), -1)[:, top * out_w : bottom * out_w]
        padded = padded_strip(image, window, top, bottom)
        c, y, x = padded.strides
        (sy, sx), (dy, dx) = window.stride, window.dilate
        # (C, kh, kw, rows, out_w), a view. ndarray(): 1 us, as_strided() 6, a strip.
        patches = np.ndarray(
            (len(image), *window.kernel, bottom - top, window.out[1]),
            image.dtype,
            padded,
            strides=(c, y * dy, x * dx, y * sy, x * sx),
        )
        result = np.empty(patches.shape, image.dtype)
        result[...] = patches
        return result.reshape(-1, (bottom - top) * window.out[1])

    def image_gradient(self, gx: np.ndarray) -> "ImageGradient":
        """A collector of the gradient of one image's maps (C, H, W)."""
        return ImageGradient(gx, self.window)

    def sums(self, out_gradient: np.ndarray) -> np.ndarray:
        """Sum the output's gradient (M, columns) over the columns."""
        return out_gradient.sum(axis=1)


def padded_strip(
    image: np.ndarray, window: Window, top: int, bottom: int
) -> np.ndarray:
    """The padded input (C, rows, columns) that output rows [top, bottom) depend on."""
    size = window.reach(0, bottom - top), window.reach(1, window.out[1])
    padded = np.zeros((len(image), *size), image.dtype)
    origin = top * window.stride[0] - window.pad[0], -window.pad[1]
    inside, source = overlap(size, image.shape[1:], origin)
    padded[inside] = image[source]
    return padded


def overlap(size, image_size, origin) -> tuple[tuple, tuple]:
    """Index of the part that a canvas and an image share: (into the canvas, into the image).

    Args:
        size, image_size: Rows and columns of each.
        origin: Row and column of the image where the canvas begins; may be negative.
    """
    inside, source = [slice(None)], [slice(None)]
    for n, limit, start in zip(size, image_size, origin):
        first, last = max(start, 0), min(start + n, limit)
        inside.append(slice(first - start, max(last, first) - start))
        source.append(slice(first, max(last, first)))
    return tuple(inside), tuple(source)


def _add_columns(
    padded: np.ndarray, cols: np.ndarray, window: Window, top: int
) -> None:
    """Add the columns' gradient (C * kh * kw, pixels) to that of the padded image."""
    kh, kw = window.kernel
    (sy, sx), (dy, dx), out_w = window.stride, window.dilate, window.out[1]
    cols = cols.reshape(len(padded), kh, kw, -1, out_w)  # (C, kh, kw, rows, out_w)
    rows = cols.shape[3]
    for i in range(kh):
        y = top * sy + i * dy
        for j in range(kw):
            x = j * dx
            target = padded[
                :, y : y + (rows - 1) * sy + 1 : sy, x : x + (out_w - 1) * sx + 1 : sx
            ]
            target += cols[:, i, j]


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
    gw = np.zeros((len(groups), *matrix.shape), x.dtype)
    gb = np.zeros((len(groups), matrix.shape[-2]), x.dtype)

    def group(task) -> None:
        g, (first, last) = task
        part = slice(first * taps, last * taps)
        weights = matrix[..., part].swapaxes(-1, -2)  # (..., K of the block, M)
        gw_part = gw[g, ..., part]  # (..., M, K of the block)
        product = np.empty(gw_part.shape, x.dtype)
        for n in groups[g]:
            if needs.x:
                image_gradient = patches.image_gradient(gx[n, first:last])
            for top, bottom in strips:
                out_gradient = gradient(n, top, bottom)
                if needs.weight:
                    cols = patches.columns(x[n, first:last], top, bottom)
                    np.matmul(out_gradient, cols.swapaxes(-1, -2), out=product)
                    gw_part += product
                if needs.bias and first == 0:
                    gb[g] += patches.sums(out_gradient)
                if needs.x:
                    image_gradient.add(weights, out_gradient, top, bottom)
            if needs.x:
                image_gradient.finish()

    threads.parallel(group, [(g, b) for g in range(len(groups)) for b in blocks])
    gw = gw.sum(axis=0) if needs.weight else None
    return gx, gw, gb.sum(axis=0) if needs.bias else None


class ImageGradient:
    """Collects the gradient gx (C, H, W) of one image's maps, strip by strip."""

    def __init__(self, gx: np.ndarray, window: Window) -> None:
        self.gx, self.window = gx, window
        self.pointwise = window.is_pointwise(gx.shape[1:])
        if not self.pointwise:
            reach = window.reach(0, window.out[0]), window.reach(1, window.out[1])
            self.padded = np.zeros((len(gx), *reach), gx.dtype)

    def add(self, matrix, out_gradient, top: int, bottom: int) -> None:
        out_w = self.window.out[1]
        if self.pointwise:
            part = self.gx.reshape(len(self.gx), -1)[:, top * out_w : bottom * out_w]
            np.matmul(matrix, out_gradient, out=part)
            return
        cols = np.empty((len(matrix), (bottom - top) * out_w), self.gx.dtype)
        np.matmul(matrix, out_gradient, out=cols)
        _add_columns(self.padded, cols, self.window, top)

    def finish(self) -> None:
        if self.pointwise:
            return
        origin = -self.window.pad[0], -self.window.pad[1]
        inside, source = overlap(self.padded.shape[1:], self.gx.shape[1:], origin)
        if self.padded[inside].shape != self.gx.shape:
            self.gx.fill(0)  # rows or columns that no window covers
        self.gx[source] = self.padded[inside]
