"""The patches of a convolution's input as the columns of a matrix, and their gradients back.

``convolution``, ``fused`` and ``deconvolution`` compute with them; ``winograd`` has patches that take
fewer multiplications.
"""

from typing import NamedTuple

import numpy as np


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
