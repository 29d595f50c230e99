"""ELU, softmax cross entropy, argmax, sum and concatenation of NumPy arrays.

Called by ``functions``, ``cross_entropy`` and ``fused``. Each works block by block, so that all
its passes over a block find it in the cache; the blocks run on all cores.
"""

import numpy as np

from layers import threads

# Bytes of input a block may hold: half of a 1 MB second-level cache. With blocks of 64 KB the
# calls into NumPy cost more than the work: softmax cross entropy takes 2.2 times as long.
BLOCK_BYTES = 1 << 19


def _cut(length: int, item_bytes: int) -> list[slice]:
    """Cut ``range(length)`` into slices of about ``BLOCK_BYTES`` or less."""
    count = -(-length * item_bytes // BLOCK_BYTES)
    return [slice(*edges) for edges in threads.cut(length, count)]


def elu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, expm1(x) elsewhere; any shape."""
    y = np.empty(x.shape, x.dtype)
    source, target = x.ravel(), y.ravel()
    blocks = _cut(x.size, x.itemsize)
    zeros = _zeros_for(blocks, x.dtype)

    def block(part: slice) -> None:
        low = target[part]
        _elu(source[part], zeros[: low.size], low, out=low)

    threads.parallel(block, blocks)
    return y


def add_bias_and_elu(maps: np.ndarray, bias: np.ndarray) -> None:
    """Add bias (C,) to maps (C, pixels) and take ELU, in place."""
    maps += bias[:, None]
    zeros = np.zeros(maps.shape[1:], maps.dtype)
    _elu(maps, zeros, np.empty(maps.shape, maps.dtype), out=maps)


def _elu(x, zeros, low, out) -> None:
    """ELU of x into ``out``, which may be x or ``low``, a buffer of x's size."""
    np.minimum(x, zeros, out=low)
    _expm1(low)
    # expm1(min(x, 0)) is 0 where x > 0 and at least x elsewhere: the larger one is ELU.
    np.maximum(x, low, out=out)


def _expm1_by_numpy(x: np.ndarray) -> None:
    np.expm1(x, out=x)


def _expm1_by_tanh(x: np.ndarray) -> None:
    """expm1(x) = 2 t / (1 - t) with t = tanh(x / 2); the last bit may differ."""
    divisor = np.empty(x.shape, x.dtype)
    x *= 0.5
    np.tanh(x, out=x)
    np.subtract(1, x, out=divisor)
    x += x
    x /= divisor


def _choose_expm1():
    # NumPy's expm1 takes 0.25 ns an item with AVX-512, else 6.7; its tanh 0.15, else 0.86.
    # Where expm1 is fast, it is used: its bits are Chainer's, so that pooling chooses the same
    # of two nearly equal values.
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # NumPy 1.26
        return _expm1_by_tanh
    variants = opt_func_info(func_name="^expm1$").get("expm1", {}).values()
    fast = variants and all(not v["current"].startswith("baseline") for v in variants)
    return _expm1_by_numpy if fast else _expm1_by_tanh


_expm1 = _choose_expm1()


def _zeros_for(blocks: list[slice], dtype) -> np.ndarray:
    """Zeros, as many as the largest block has items."""
    # np.minimum with an array of zeros takes 0.06 ns an item, with the scalar 0 0.29 ns.
    return np.zeros(max(part.stop - part.start for part in blocks), dtype)


def elu_backward(y: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """gx = gy where y > 0, gy * (y + 1) elsewhere; any shape."""
    gx = np.empty(y.shape, y.dtype)
    output, gradient, result = y.ravel(), gy.ravel(), gx.ravel()
    blocks = _cut(y.size, y.itemsize)
    zeros = _zeros_for(blocks, y.dtype)

    def block(part: slice) -> None:
        target = result[part]
        np.minimum(output[part], zeros[: target.size], out=target)
        target += 1
        target *= gradient[part]

    threads.parallel(block, blocks)
    return gx


def add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x + y, of the same shape."""
    result = np.empty(x.shape, x.dtype)
    left, right, total = x.ravel(), y.ravel(), result.ravel()

    def block(part: slice) -> None:
        np.add(left[part], right[part], out=total[part])

    threads.parallel(block, _cut(x.size, x.itemsize))
    return result


def concatenate(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays (N, C, ...) along axis 1."""
    edges = np.cumsum([0] + [a.shape[1] for a in arrays])
    n, _, *size = arrays[0].shape
    y = np.empty((n, int(edges[-1]), *size), arrays[0].dtype)

    def copy(image: int) -> None:
        for array, first, last in zip(arrays, edges, edges[1:]):
            y[image, first:last] = array[image]

    threads.parallel(copy, range(n))
    return y


def softmax_cross_entropy(
    x, t, ignore_label: int, coefficient: float, gradient: bool, class_weight=None
):
    """Loss and its gradient, both times ``coefficient``, in one pass over the scores.

    Args:
        x: Scores (N, C, H, W).
        t: Labels int (N, H, W).
        gradient: Whether the gradient is wanted.
        class_weight: What a pixel of each class counts, (C,); None: 1.

    Returns:
        (loss, gx, plain): loss is a float, gx (N, C, H, W) or ``None``, plain the loss with
        all classes counting 1.
    """
    scores, labels = x.reshape(*x.shape[:2], -1), t.reshape(len(t), -1)
    gx = np.empty(x.shape, x.dtype) if gradient else None
    blocks = _pixel_blocks(x)
    losses, plain = np.zeros((2, len(blocks)))

    def block(i: int) -> None:
        n, pixels = blocks[i]
        score, label = scores[n, :, pixels], labels[n, pixels]  # (C, P), (P,)
        valid = label != ignore_label
        label = np.where(valid, label, 0)
        place = label, np.arange(label.size)  # of each pixel's true class in (C, P)
        counts = valid if class_weight is None else valid * class_weight[label]
        largest = np.maximum.reduce(score, axis=0)
        target = score[place] - largest
        if gradient:
            probability = gx[n].reshape(len(score), -1)[:, pixels]
        else:
            probability = np.empty(score.shape, x.dtype)
        np.subtract(score, largest, out=probability)
        np.exp(probability, out=probability)
        total = np.add.reduce(probability, axis=0)
        loss = np.log(total) - target
        losses[i] = (loss * counts).sum(dtype=np.float64)
        plain[i] = loss.sum(where=valid, dtype=np.float64)
        if gradient:
            weight = (counts * x.dtype.type(coefficient)).astype(x.dtype, copy=False)
            probability *= weight / total
            probability[place] -= weight

    threads.parallel(block, range(len(blocks)))
    return losses.sum() * coefficient, gx, plain.sum() * coefficient


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
    # Classes C ... 1, the first highest: the maximum of those with the largest score is the
    # first of them. A maximum of bytes is 20x faster than argmax.
    rank = np.arange(x.shape[1], 0, -1, dtype=np.uint8)[:, None]

    def block(task) -> None:
        n, pixels = task
        score = scores[n, :, pixels]
        is_largest = (score == np.maximum.reduce(score, axis=0)).view(np.uint8)
        is_largest *= rank
        # NaN equals nothing, not even itself: initial=1 makes it the last class.
        y[n, pixels] = x.shape[1] - np.maximum.reduce(is_largest, axis=0, initial=1)

    threads.parallel(block, _pixel_blocks(x))
    return y.reshape(len(x), *x.shape[2:])
