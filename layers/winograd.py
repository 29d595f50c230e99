"""Convolution whose kernel has four columns, with half of the multiplications.

Called by ``deconvolution``: the last layer, a 16x16 deconvolution of stride 4, is half of the
network's arithmetic and becomes a 4x4 convolution. Three neighbouring outputs of four taps
take 12 multiplications; as values of a polynomial at six points they take 6 (Winograd,
*Arithmetic Complexity of Computations*, 1980; Lavin and Gray, arXiv:1509.09308). This is done
along rows only: in both directions, the transforms would cost what they save.
"""

import numpy as np

from layers import patches as plain
from layers import threads

TAPS, TILE, POINTS = 4, 3, 6

# outputs (3) = A (3, 6) @ ((G (6, 4) @ taps (4)) * (B (6, 6) @ inputs (6))): polynomials are
# evaluated at 0, 1, -1, 2, -2 and infinity, multiplied point by point, and interpolated.
A = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 1]],
    np.float64,
)
B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
)
G = (
    np.array(
        [
            [6, 0, 0, 0],
            [-4, -4, -4, -4],
            [-4, 4, -4, 4],
            [1, 2, 4, 8],
            [1, -2, 4, -8],
            [0, 0, 0, 24],
        ],
        np.float64,
    )
    / 24
)


class Patches(plain.Patches):
    """Transformed patches of a window with four columns and stride 1.

    A column gives a tile of three neighbouring outputs. Beside ``patches.Patches``, all
    arrays have the six points as their first axis, C * kh rows instead of C * kh * 4, and a
    third of the columns.
    """

    tile, points = TILE, POINTS

    def __init__(self, window: plain.Window) -> None:
        height, width = window.out
        self.tiles = -(-width // TILE)
        super().__init__(window._replace(out=(height, self.tiles * TILE)))

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """Weights (M, C * kh * 4) as (6, M, C * kh)."""
        taps = matrix.reshape(-1, TAPS)  # (M * C * kh, 4)
        result = np.empty((POINTS, len(taps)), matrix.dtype)

        def point(i: int) -> None:
            np.matmul(taps, G[i].astype(matrix.dtype), out=result[i])

        # As tasks: BLAS's own threads would go on spinning beside ours after the product.
        threads.parallel(point, range(POINTS))
        return result.reshape(POINTS, len(matrix), -1)

    def weight_gradients(self, gw: np.ndarray) -> np.ndarray:
        """Gradient (6, M, C * kh) of the points as that of the matrix, (M, C * kh * 4)."""
        points = gw.reshape(POINTS, -1)  # (6, M * C * kh)
        result = np.empty((points.shape[1], TAPS), gw.dtype)

        def tap(i: int) -> None:
            result[:, i] = G[:, i].astype(gw.dtype) @ points

        threads.parallel(tap, range(TAPS))
        return result.reshape(gw.shape[1], -1)

    def columns(self, image: np.ndarray, top: int, bottom: int) -> np.ndarray:
        """Patches of output rows [top, bottom): (6, C * kh, (bottom - top) * tiles)."""
        padded = plain.padded_strip(image, self.window, top, bottom)
        points = _transform(
            B, _tiles(padded, self.tiles)
        )  # (6, C, rows + kh - 1, tiles)
        p, c, y, x = points.strides
        rows, kernel = bottom - top, self.window.kernel[0]
        # A view in which each row of points occurs in up to kh patches.
        patches = np.ndarray(
            (POINTS, len(image), kernel, rows, self.tiles),
            image.dtype,
            points,
            strides=(p, c, y, y, x),
        )
        result = np.empty(patches.shape, image.dtype)
        result[...] = patches
        return result.reshape(POINTS, -1, rows * self.tiles)

    def outputs(self, cols: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Outputs (3, columns, M) of cols (6, columns, K) and weights (6, K, M)."""
        size = POINTS, cols.shape[1], weights.shape[2]
        products = np.empty(size, cols.dtype)
        np.matmul(cols, weights, out=products)
        return _transform(A, products)

    def output_gradients(self, phases: np.ndarray) -> np.ndarray:
        """The output's gradient (3, columns, M) as (6, M, columns)."""
        return _transform(A.T, phases).swapaxes(1, 2)

    def sums(self, out_gradient: np.ndarray) -> np.ndarray:
        # At point 1 all powers are 1: it holds the sum of a tile's three gradients.
        return out_gradient[1].sum(axis=1)

    def image_gradient(self, gx: np.ndarray) -> "ImageGradient":
        return ImageGradient(gx, self.window, self.tiles)


class ImageGradient(plain.ImageGradient):
    """Collects the gradient gx (C, H, W) of one image's maps, strip by strip."""

    def __init__(self, gx: np.ndarray, window, tiles: int) -> None:
        super().__init__(gx, window)
        self.tiles = tiles

    def add(self, weights, out_gradient, top: int, bottom: int) -> None:
        kernel, rows = self.window.kernel[0], bottom - top
        size = POINTS, weights.shape[1], rows * self.tiles
        cols = np.empty(size, self.gx.dtype)
        np.matmul(weights, out_gradient, out=cols)
        cols = cols.reshape(POINTS, len(self.gx), kernel, rows, self.tiles)
        shape = POINTS, len(self.gx), rows + kernel - 1, self.tiles
        points = np.zeros(shape, self.gx.dtype)
        for i in range(kernel):
            points[:, :, i : i + rows] += cols[:, :, i]
        tiles = _tiles(self.padded[:, top : top + shape[2]], self.tiles)
        for tile, gradient in zip(tiles, _transform(B.T, points)):
            tile += gradient


def _tiles(padded: np.ndarray, tiles: int) -> np.ndarray:
    """View maps (C, rows, columns) as (6, C, rows, tiles): the inputs of each tile."""
    c, y, x = padded.strides
    shape = POINTS, *padded.shape[:2], tiles  # tiles begin 3 columns apart, and overlap
    return np.lib.stride_tricks.as_strided(padded, shape, (x, c, y, TILE * x))


def _transform(matrix: np.ndarray, array: np.ndarray) -> np.ndarray:
    """matrix (m, n) @ array (n, ...) -> (m, ...)."""
    size = len(matrix), *array.shape[1:]
    result = np.empty(size, array.dtype)
    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    np.matmul(matrix.astype(array.dtype), flat, out=result.reshape(len(matrix), -1))
    return result
