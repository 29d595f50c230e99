"""ELU, max pooling, softmax cross entropy, argmax and concatenation of NumPy arrays.

Called by ``cpu_functions``. Each is done block by block, all its passes while the block is in
the cache, and the blocks on all cores.
"""

import itertools

import numpy as np

import cpu_threads

# Bytes of input a block may hold: with its temporaries it fits a 1 MB second-level cache.
BLOCK_BYTES = 1 << 18


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
        np.minimum(source, zeros[: len(source)], out=target)
        np.expm1(target, out=target)
        # expm1(x) >= x, and it is 0 where x > 0: the larger is the result on both sides.
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


def _taps(size: int, out: int, ksize: int, stride: int, pad: int) -> list[tuple]:
    """For each place in the window: the outputs that see input there, and that input."""
    taps = []
    for k in range(ksize):
        first = max(0, -(-(pad - k) // stride))
        last = min(out, (size - 1 + pad - k) // stride + 1)
        if first < last:
            start = first * stride - pad + k
            stop = start + (last - first - 1) * stride + 1
            taps.append((slice(first, last), slice(start, stop, stride)))
    return taps


def max_pool(x, out, ksize, stride, pad) -> np.ndarray:
    """Maxima y (N, C, *out) of the windows on x (N, C, H, W); pairs for the last four."""
    y = cpu_threads.empty((*x.shape[:2], *out), x.dtype)
    rows = _taps(x.shape[2], out[0], ksize[0], stride[0], pad[0])
    cols = _taps(x.shape[3], out[1], ksize[1], stride[1], pad[1])

    def block(task) -> None:
        # Rows first: these maxima are of contiguous rows, 0.06 ns an item, and leave half
        # the items for those of every second column, 0.8 ns an item.
        tall = _max_of_rows(x[task], out[0], rows)
        y[task] = _max_of_columns(tall, out[1], cols)

    cpu_threads.parallel(block, _image_blocks(x))
    return y


def _max_of_rows(x, out: int, taps) -> np.ndarray:
    y = cpu_threads.empty((x.shape[0], out, x.shape[2]), x.dtype)
    y.fill(-np.inf)
    for target, source in taps:
        np.maximum(y[:, target], x[:, source], out=y[:, target])
    return y


def _max_of_columns(x, out: int, taps) -> np.ndarray:
    y = cpu_threads.empty((*x.shape[:2], out), x.dtype)
    y.fill(-np.inf)
    for target, source in taps:
        np.maximum(y[..., target], x[..., source], out=y[..., target])
    return y


def max_pool_backward(x, y, gy, ksize, stride, pad) -> np.ndarray:
    """Route gy (N, C, *out) to the first maximum, row by row, of each window, as Chainer does.

    First the row of the window that holds the maximum, then the place in this row.
    """
    gx = cpu_threads.empty(x.shape, x.dtype)
    rows = _taps(x.shape[2], y.shape[2], ksize[0], stride[0], pad[0])
    cols = _taps(x.shape[3], y.shape[3], ksize[1], stride[1], pad[1])

    def block(task) -> None:
        wide = _max_of_columns(x[task], y.shape[3], cols)
        g_wide = cpu_threads.zeros(wide.shape, x.dtype)
        left = gy[task].copy()
        for out, place in rows:
            _take(left[:, out], y[task][:, out], wide[:, place], g_wide[:, place])
        target = gx[task]
        target.fill(0)
        for out, place in cols:
            _take(
                g_wide[..., out],
                wide[..., out],
                x[task][..., place],
                target[..., place],
            )

    cpu_threads.parallel(block, _image_blocks(x))
    return gx


def _take(left, maximum, value, gradient) -> None:
    """Move what is left of the gradient to where the value is the maximum."""
    # A product with the mask is exact, and 25x faster than where= or a masked copy.
    here = left * (value == maximum)
    gradient += here
    left -= here


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
        x: Scores (N, C, H, W), C at most 255; no NaN.

    Returns:
        ndarray: uint8 (N, H, W).
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
        y[n, pixels] = x.shape[1] - np.maximum.reduce(is_largest, axis=0)

    cpu_threads.parallel(block, _pixel_blocks(x))
    return y.reshape(len(x), *x.shape[2:])
