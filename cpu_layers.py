"""ELU, max pooling, softmax cross entropy, argmax and concatenation of NumPy arrays.

Called by ``cpu_functions``. Each is done block by block, all its passes while the block is in
the cache, and the blocks on all cores.
"""

import itertools
from typing import NamedTuple

import numpy as np

import cpu_threads

# Bytes of input a block may hold: half of a 1 MB second-level cache. With blocks of 64 KB the
# calls into NumPy cost more than the work: softmax cross entropy takes 2.2 times as long.
BLOCK_BYTES = 1 << 19


def _cut(length: int, item_bytes: int) -> list[slice]:
    """Cut ``range(length)`` into slices of about ``BLOCK_BYTES``."""
    count = min(max(1, -(-length * item_bytes // BLOCK_BYTES)), max(length, 1))
    edges = [length * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _image_blocks(array: np.ndarray) -> list[tuple[int, slice]]:
    """Cut (N, C, ...) into (image, maps)."""
    maps = _cut(array.shape[1], array[0, 0].nbytes)
    return [(n, part) for n in range(len(array)) for part in maps]


def elu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, expm1(x) elsewhere; any shape with at least two axes."""
    y = cpu_threads.empty(x.shape, x.dtype)
    blocks = _image_blocks(x)
    zeros = _zeros_for(x, blocks)

    def block(task) -> None:
        source, target = x[task], y[task]
        divisor = cpu_threads.empty(target.shape, x.dtype)
        # expm1(x) = 2 t / (1 - t) with t = tanh(x / 2), as exact. NumPy's expm1 is fast with
        # AVX-512 only (0.25 ns an item, else 6.7), its tanh everywhere (0.15, else 0.86).
        np.minimum(source, zeros[: len(source)], out=target)
        target *= 0.5
        np.tanh(target, out=target)
        np.subtract(1, target, out=divisor)
        target += target
        target /= divisor
        # It is >= x, and 0 where x > 0: the larger is the result on both sides.
        np.maximum(source, target, out=target)

    cpu_threads.parallel(block, blocks)
    return y


def _zeros_for(array: np.ndarray, blocks) -> np.ndarray:
    """Zeros as large as the largest block."""
    # minimum with an array of zeros takes 0.06 ns an item, with a scalar 0.29.
    most = max(part.stop - part.start for _, part in blocks)
    return np.zeros((most, *array.shape[2:]), array.dtype)


def elu_backward(y: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """gx = gy where y > 0, gy * (y + 1) elsewhere."""
    gx = cpu_threads.empty(y.shape, y.dtype)
    blocks = _image_blocks(y)
    zeros = _zeros_for(y, blocks)

    def block(task) -> None:
        target = gx[task]
        np.minimum(y[task], zeros[: len(target)], out=target)
        target += 1
        target *= gy[task]

    cpu_threads.parallel(block, blocks)
    return gx


def concatenate(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays (N, C, ...) along axis 1."""
    edges = np.cumsum([0] + [a.shape[1] for a in arrays])
    n, _, *size = arrays[0].shape
    y = cpu_threads.empty((n, int(edges[-1]), *size), arrays[0].dtype)

    def copy(task) -> None:
        n, i = task
        y[n, edges[i] : edges[i + 1]] = arrays[i][n]

    cpu_threads.parallel(copy, [(n, i) for n in range(n) for i in range(len(arrays))])
    return y


class Pool(NamedTuple):
    """The windows of a pooling layer; pairs are (rows, columns)."""

    size: tuple[int, int]
    out: tuple[int, int]
    ksize: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]

    def canvas_size(self) -> tuple[int, int]:
        """Rows and columns that the windows look at, padding included."""
        return tuple(
            s * (n - 1) + k for n, k, s in zip(self.out, self.ksize, self.stride)
        )

    def inside(self) -> tuple[tuple, tuple]:
        """Indices of maps where input lies on the canvas: (canvas, input)."""
        last = [
            min(n, m + p) for n, m, p in zip(self.canvas_size(), self.size, self.pad)
        ]
        canvas = [slice(p, n) for n, p in zip(last, self.pad)]
        source = [slice(0, n - p) for n, p in zip(last, self.pad)]
        return (slice(None), *canvas), (slice(None), *source)

    def phase_size(self) -> tuple[int, int]:
        """Rows and columns of a phase: every stride-th row and column of the input."""
        return tuple(
            n + (k - 1) // s for n, k, s in zip(self.out, self.ksize, self.stride)
        )

    def phases(self, axis: int) -> list[tuple[slice, slice] | None]:
        """For each phase: its rows (or columns) that are input, and that input."""
        size = self.phase_size()[axis]
        return [self._slices(axis, size, r) for r in range(self.stride[axis])]

    def _slices(self, axis: int, count: int, first: int) -> tuple[slice, slice] | None:
        """Where ``stride * i + first - pad``, i < count, is input: i, and the input."""
        stride, start = self.stride[axis], first - self.pad[axis]
        low = max(0, -(start // stride))
        high = min(count, (self.size[axis] - 1 - start) // stride + 1)
        if low >= high:
            return None
        low_source, high_source = low * stride + start, (high - 1) * stride + start
        return slice(low, high), slice(low_source, high_source + 1, stride)


def max_pool(x: np.ndarray, pool: Pool, places: bool):
    """Maxima y (N, C, *out) of the windows on x (N, C, H, W), and where they are.

    Args:
        places: Whether they are wanted.

    Returns:
        (y, place); place is uint8 (N, C, *out), row * width + column in the window of the
        first maximum, row by row, as in Chainer; or ``None``.
    """
    y = cpu_threads.empty((*x.shape[:2], *pool.out), x.dtype)
    place = cpu_threads.empty(y.shape, np.uint8) if places else None

    def block(task) -> None:
        # Maxima slide over the columns, then the rows, all of them: on one long run of items
        # a maximum takes 0.06 ns an item, on every second 0.8 ns. Then every stride-th is
        # taken, of the rows as early as possible.
        canvas = _canvas(x[task], pool)
        width = canvas.shape[2]
        tall_at_all = _slide(np.maximum, canvas, pool.ksize[0], width)
        tall = _every_stride(tall_at_all, pool, 0).copy()
        largest = _slide(np.maximum, tall, pool.ksize[1], 1)
        y[task] = _every_stride(largest, pool, 1)
        if places:
            row = _every_stride(_first_row(canvas, tall_at_all, pool), pool, 0).copy()
            first = _first_place(tall, largest, row, pool)
            place[task] = _every_stride(first, pool, 1)

    cpu_threads.parallel(block, _image_blocks(x))
    return y, place


def _canvas(x: np.ndarray, pool: Pool) -> np.ndarray:
    """x with its padding, -inf."""
    canvas = cpu_threads.empty((len(x), *pool.canvas_size()), x.dtype)
    canvas.fill(-np.inf)
    inside, source = pool.inside()
    canvas[inside] = x[source]
    return canvas


def _slide(function, array: np.ndarray, count: int, step: int) -> np.ndarray:
    """Reduce each item and the ``count - 1`` items at distances of ``step`` after it.

    The last items of a map reach into the next map; no window begins there.
    """
    result = cpu_threads.empty(array.shape, array.dtype)
    run, total = array.ravel(), result.ravel()
    total[...] = run
    for k in range(step, count * step, step):
        part = total[: run.size - k]
        function(part, run[k:], out=part)
    return result


def _first_row(canvas, tall_at_all, pool: Pool) -> np.ndarray:
    """The first row of each window that has its column's maximum; uint8."""
    row = cpu_threads.zeros(canvas.shape, np.uint8)
    run, tall, rows = canvas.ravel(), tall_at_all.ravel(), row.ravel()
    # The number of the first row is how many rows before it are all smaller.
    smaller = cpu_threads.empty(run.shape, bool)
    smaller.fill(True)
    for k in range(pool.ksize[0] - 1):
        shift = k * canvas.shape[2]
        part = smaller[: run.size - shift]
        part &= run[shift:] != tall[: part.size]
        rows += smaller.view(np.uint8)
    return row


def _first_place(tall, largest, row, pool: Pool) -> np.ndarray:
    """The smallest row * width + column among the maxima of each window; uint8."""
    row *= np.uint8(pool.ksize[1])
    place = cpu_threads.empty(tall.shape, np.uint8)
    place.fill(255)
    found, run, rows, maxima = (a.ravel() for a in (place, tall, row, largest))
    for k in range(pool.ksize[1]):
        part = found[: run.size - k]
        # 0 where the maximum is, 255 elsewhere: as bytes, 4x less work than a where().
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
    """Route gy (N, C, *out) to the places that ``max_pool`` found."""
    gx = cpu_threads.empty((*gy.shape[:2], *pool.size), gy.dtype)
    (sy, sx), width = pool.stride, pool.phase_size()[1]

    def block(task) -> None:
        # Each phase of the input's rows and columns is as large as the output and a margin:
        # a place in the window is a shift of the whole, one long run of items.
        source, where = _with_margin(gy[task], pool), _with_margin(place[task], pool)
        phases = cpu_threads.zeros((sy, sx, source.size), gy.dtype)
        mask = cpu_threads.empty(source.shape, bool)
        part = cpu_threads.empty(source.shape, gy.dtype)
        for i in range(pool.ksize[0]):
            for j in range(pool.ksize[1]):
                np.equal(where, np.uint8(i * pool.ksize[1] + j), out=mask)
                # A product is exact here, and 25x faster than where= or a masked copy.
                np.multiply(source, mask, out=part)
                shift = i // sy * width + j // sx
                target = phases[i % sy, j % sx, shift:]
                target += part.ravel()[: target.size]
        _merge(phases.reshape(sy, sx, *source.shape), gx[task], pool)

    cpu_threads.parallel(block, _image_blocks(gx))
    return gx


def _with_margin(array: np.ndarray, pool: Pool) -> np.ndarray:
    """A copy in the size of a phase, 0 in the margin."""
    result = cpu_threads.zeros((len(array), *pool.phase_size()), array.dtype)
    result[:, : pool.out[0], : pool.out[1]] = array
    return result


def _merge(phases: np.ndarray, gx: np.ndarray, pool: Pool) -> None:
    """Put the phases' rows and columns back in their order."""
    columns = pool.phases(1)
    if None in columns or None in pool.phases(0):
        gx.fill(0)
    for i, row in enumerate(pool.phases(0)):
        for j, column in enumerate(columns):
            if row is not None and column is not None:
                gx[:, row[1], column[1]] = phases[i, j][:, row[0], column[0]]


def softmax_cross_entropy(x, t, ignore_label: int, coefficient: float, gradient: bool):
    """Loss and its gradient, both times ``coefficient``, in one pass over the scores.

    Args:
        x: Scores (N, C, H, W).
        t: Labels int (N, H, W).
        gradient: Whether the gradient is wanted.

    Returns:
        (loss, gx); loss is a float, gx (N, C, H, W) or ``None``.
    """
    scores, labels = x.reshape(*x.shape[:2], -1), t.reshape(len(t), -1)
    gx = cpu_threads.empty(x.shape, x.dtype) if gradient else None
    blocks = _pixel_blocks(x)
    losses = np.zeros(len(blocks))

    def block(i: int) -> None:
        n, pixels = blocks[i]
        score, label = scores[n, :, pixels], labels[n, pixels]
        valid = label != ignore_label
        place = np.where(valid, label, 0), np.arange(label.size)
        largest = np.maximum.reduce(score, axis=0)
        target = score[place] - largest
        if gradient:
            probability = gx[n].reshape(len(score), -1)[:, pixels]
        else:
            probability = cpu_threads.empty(score.shape, x.dtype)
        np.subtract(score, largest, out=probability)
        np.exp(probability, out=probability)
        total = np.add.reduce(probability, axis=0)
        losses[i] = ((np.log(total) - target) * valid).sum(dtype=np.float64)
        if gradient:
            weight = (valid * x.dtype.type(coefficient)).astype(x.dtype, copy=False)
            probability *= weight / total
            probability[place] -= weight

    cpu_threads.parallel(block, range(len(blocks)))
    return losses.sum() * coefficient, gx


def _pixel_blocks(x: np.ndarray) -> list[tuple[int, slice]]:
    """Cut (N, C, H, W) into (image, pixels)."""
    pixels = _cut(int(np.prod(x.shape[2:])), x.shape[1] * x.itemsize)
    return [(n, part) for n in range(len(x)) for part in pixels]


def argmax(x: np.ndarray) -> np.ndarray:
    """Class with the largest score, the first of equals.

    Args:
        x: Scores (N, C, H, W), C at most 255.

    Returns:
        ndarray: uint8 (N, H, W); where a score is NaN, any class.
    """
    scores = x.reshape(*x.shape[:2], -1)
    y = np.empty((len(x), scores.shape[2]), np.uint8)
    # The first class has the largest rank. A maximum of bytes is 20x faster than argmax.
    rank = np.arange(x.shape[1], 0, -1, dtype=np.uint8)[:, None]

    def block(task) -> None:
        n, pixels = task
        score = scores[n, :, pixels]
        is_largest = (score == np.maximum.reduce(score, axis=0)).view(np.uint8)
        is_largest *= rank
        # NaN equals nothing: the last class stands in, as some class must.
        y[n, pixels] = x.shape[1] - np.maximum.reduce(is_largest, axis=0, initial=1)

    cpu_threads.parallel(block, _pixel_blocks(x))
    return y.reshape(len(x), *x.shape[2:])
