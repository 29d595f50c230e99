"""Max pooling of NumPy arrays, forward and backward; called by ``functions``."""

from typing import NamedTuple

import numpy as np

from layers import threads

# Bytes of input a block may hold. Between two NumPy calls a thread needs the GIL: short calls
# make threads wait for each other. With 0.5 MB, pooling takes 1.9 times as long on two cores.
BLOCK_BYTES = 1 << 21


class Pool(NamedTuple):
    """The windows of a pooling layer; pairs are (rows, columns).

    ``size`` is the input's, ``out`` the output's. The canvas is the input with its padding,
    as far as windows reach.
    """

    size: tuple[int, int]
    out: tuple[int, int]
    ksize: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]

    def strip(self, top: int, bottom: int) -> "Pool":
        """The pooling of output rows [top, bottom) from the input rows that they see.

        The input rows begin with ``top * stride``; there must be no padding.
        """
        reach = (bottom - top - 1) * self.stride[0] + self.ksize[0]
        rows = min(reach, self.size[0] - top * self.stride[0])
        return self._replace(size=(rows, self.size[1]), out=(bottom - top, self.out[1]))

    def canvas_size(self) -> tuple[int, int]:
        """Rows and columns that the windows cover, padding included."""
        return tuple(
            s * (n - 1) + k for n, k, s in zip(self.out, self.ksize, self.stride)
        )

    def inside(self) -> tuple[tuple, tuple]:
        """Index of the part that canvas and input share: (into the canvas, into the input)."""
        last = [
            min(n, m + p) for n, m, p in zip(self.canvas_size(), self.size, self.pad)
        ]
        canvas = [slice(p, n) for n, p in zip(last, self.pad)]
        source = [slice(0, n - p) for n, p in zip(last, self.pad)]
        return (slice(None), *canvas), (slice(None), *source)

    def phase_size(self) -> tuple[int, int]:
        """Size of a phase: every stride-th row and column of the canvas."""
        return tuple(
            n + (k - 1) // s for n, k, s in zip(self.out, self.ksize, self.stride)
        )

    def phases(self, axis: int) -> list[tuple[slice, slice] | None]:
        """For each phase along an axis: ``slices`` of its rows (or columns)."""
        size = self.phase_size()[axis]
        return [self.slices(axis, size, r) for r in range(self.stride[axis])]

    def slices(self, axis: int, count: int, first: int) -> tuple[slice, slice] | None:
        """Which of the input rows (or columns) ``stride * i + first - pad``, i < count, exist.

        Returns:
            tuple or None: the range of i, and the input's rows it stands for; ``None`` if
            there are none.
        """
        stride, start = self.stride[axis], first - self.pad[axis]
        low = max(0, -(start // stride))
        high = min(count, (self.size[axis] - 1 - start) // stride + 1)
        if low >= high:
            return None
        low_source, high_source = low * stride + start, (high - 1) * stride + start
        return slice(low, high), slice(low_source, high_source + 1, stride)


def maxima(x: np.ndarray, pool: Pool) -> np.ndarray:
    """Maxima of the windows on maps x (C, H, W): (C, *out)."""
    largest = _sliding_maximum(_maxima_over_rows(x, pool), pool.ksize[1], 1)
    return np.ascontiguousarray(_every_stride(largest, pool, 1))


def _blocks(maps: np.ndarray) -> list[tuple[int, slice]]:
    """Cut maps (N, C, H, W) into blocks of at most ``BLOCK_BYTES``, as (image, maps)."""
    parts = threads.cut(maps.shape[1], -(-maps[0].nbytes // BLOCK_BYTES))
    return [(n, slice(*part)) for n in range(len(maps)) for part in parts]


def max_pool(x: np.ndarray, pool: Pool, places: bool):
    """Maxima of the windows on x (N, C, H, W), and where they are.

    Args:
        places: Whether the places are wanted.

    Returns:
        (y, place): y is (N, C, *out); place uint8 (N, C, *out) or ``None``: row * kernel width
        + column, within the window, of the first maximum row by row, as in Chainer.
    """
    y = np.empty((*x.shape[:2], *pool.out), x.dtype)
    place = np.empty(y.shape, np.uint8) if places else None

    def block(task) -> None:
        # Maxima over the rows of a window first, then over its columns. They are taken for
        # windows at every position, and every stride-th is kept: a maximum over contiguous
        # items takes 0.06 ns an item, over every second item 0.8 ns.
        if places:
            canvas = _canvas(x[task], pool)  # (C, canvas rows, canvas columns)
            everywhere = _sliding_maximum(canvas, pool.ksize[0], canvas.shape[2])
            over_rows = _every_stride(everywhere, pool, 0).copy()  # (C, out_h, columns)
        else:
            over_rows = _maxima_over_rows(x[task], pool)
        largest = _sliding_maximum(over_rows, pool.ksize[1], 1)  # (C, out_h, columns)
        y[task] = _every_stride(largest, pool, 1)
        if places:
            row = _every_stride(_first_row(canvas, everywhere, pool), pool, 0).copy()
            first = _first_place(over_rows, largest, row, pool)
            place[task] = _every_stride(first, pool, 1)

    threads.parallel(block, _blocks(x))
    return y, place


def _canvas(x: np.ndarray, pool: Pool) -> np.ndarray:
    """Maps x (C, H, W) on a canvas, the padding -inf."""
    canvas = np.full((len(x), *pool.canvas_size()), -np.inf, x.dtype)
    inside, source = pool.inside()
    canvas[inside] = x[source]
    return canvas


def _maxima_over_rows(x: np.ndarray, pool: Pool) -> np.ndarray:
    """Maxima over the rows of each window of maps x (C, H, W): (C, out_h, canvas columns)."""
    size = len(x), pool.out[0], pool.canvas_size()[1]
    over_rows = np.full(size, -np.inf, x.dtype)
    inside, source = pool.inside()
    for k in range(pool.ksize[0]):
        rows = pool.slices(0, pool.out[0], k)
        if rows is not None:
            part = over_rows[:, rows[0], inside[2]]
            np.maximum(part, x[:, rows[1], source[2]], out=part)
    return over_rows


def _sliding_maximum(array: np.ndarray, count: int, step: int) -> np.ndarray:
    """The maximum of each item and of ``count - 1`` items that follow at distances of ``step``.

    The array is taken as one run of items, so the last ones of a row (or map) are compared with
    the next row's (or map's). No window begins there, and they are dropped later.
    """
    result = np.empty_like(array)
    run, total = array.ravel(), result.ravel()
    total[...] = run
    for k in range(step, count * step, step):
        part = total[: run.size - k]
        np.maximum(part, run[k:], out=part)
    return result


def _first_row(canvas, maxima, pool: Pool) -> np.ndarray:
    """Of the ksize rows that begin at each item of the canvas, the first that has their maximum.

    Args:
        canvas, maxima: (C, canvas rows, canvas columns); the latter holds the maxima.

    Returns:
        ndarray: uint8, of the same shape.
    """
    row = np.zeros(canvas.shape, np.uint8)
    run, largest, rows = canvas.ravel(), maxima.ravel(), row.ravel()
    # The number of that row is the number of rows before it. These are counted: they are smaller
    # than the maximum, and so are all rows before them.
    smaller = np.ones(run.shape, bool)
    for k in range(pool.ksize[0] - 1):
        shift = k * canvas.shape[2]
        part = smaller[: run.size - shift]
        part &= run[shift:] != largest[: part.size]
        rows += smaller.view(np.uint8)
    return row


def _first_place(over_rows, largest, row, pool: Pool) -> np.ndarray:
    """The smallest row * kernel width + column among the maxima of each window.

    Args:
        over_rows: (C, out_h, canvas columns), maxima over the rows of a window.
        largest: The same shape, maxima over the whole window.
        row: uint8, the same shape, the first row of ``over_rows``'s maximum. Is overwritten.

    Returns:
        ndarray: uint8, the same shape.
    """
    row *= np.uint8(pool.ksize[1])
    place = np.full(over_rows.shape, 255, np.uint8)
    found, run, rows, maxima = (a.ravel() for a in (place, over_rows, row, largest))
    for k in range(pool.ksize[1]):
        part = found[: run.size - k]
        # True - 1 = 0 where the maximum is, False - 1 = 255 elsewhere, so that the minimum
        # finds places of maxima only. Bytes are 4x less work than np.where.
        here = (run[k:] == maxima[: part.size]).view(np.uint8)
        here -= np.uint8(1)
        here |= rows[k:] + np.uint8(k)
        np.minimum(part, here, out=part)
    return place


def _every_stride(array: np.ndarray, pool: Pool, axis: int) -> np.ndarray:
    """The rows (axis 0) or columns (1) of maps where windows begin."""
    stride, out = pool.stride[axis], pool.out[axis]
    begins = slice(0, stride * (out - 1) + 1, stride)
    return array[:, begins] if axis == 0 else array[:, :, begins]


def max_pool_backward(place: np.ndarray, gy: np.ndarray, pool: Pool) -> np.ndarray:
    """Gradient gx (N, C, *size): each item of gy (N, C, *out) goes to its maximum's place.

    Args:
        place: uint8 (N, C, *out), from ``max_pool``.
    """
    gx = np.empty((*gy.shape[:2], *pool.size), gy.dtype)
    (sy, sx), width = pool.stride, pool.phase_size()[1]

    def block(task) -> None:
        # The canvas is cut into stride x stride phases, each as large as the output and a
        # margin. All windows' items (i, j) lie in one phase, at a constant distance from the
        # window's own item, so that they are added in one run.
        source, where = _with_margin(gy[task], pool), _with_margin(place[task], pool)
        phases = np.zeros((sy, sx, source.size), gy.dtype)
        mask = np.empty(source.shape, bool)
        part = np.empty(source.shape, gy.dtype)
        for i in range(pool.ksize[0]):
            for j in range(pool.ksize[1]):
                np.equal(where, np.uint8(i * pool.ksize[1] + j), out=mask)
                # A product is exact here, and 25x faster than where= or a masked copy.
                np.multiply(source, mask, out=part)
                shift = i // sy * width + j // sx
                target = phases[i % sy, j % sx, shift:]
                target += part.ravel()[: target.size]
        _merge(phases.reshape(sy, sx, *source.shape), gx[task], pool)

    threads.parallel(block, _blocks(gx))
    return gx


def _with_margin(array: np.ndarray, pool: Pool) -> np.ndarray:
    """Copy (C, *out) to (C, *phase_size), 0 in the margin at the bottom and right."""
    result = np.zeros((len(array), *pool.phase_size()), array.dtype)
    result[:, : pool.out[0], : pool.out[1]] = array
    return result


def _merge(phases: np.ndarray, gx: np.ndarray, pool: Pool) -> None:
    """Put the phases (sy, sx, C, *phase_size) in their rows and columns of gx (C, *size)."""
    columns = pool.phases(1)
    if None in columns or None in pool.phases(0):
        gx.fill(0)
    for i, row in enumerate(pool.phases(0)):
        for j, column in enumerate(columns):
            if row is not None and column is not None:
                gx[:, row[1], column[1]] = phases[i, j][:, row[0], column[0]]
