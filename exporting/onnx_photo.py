"""What the Segmenter does before and after the network, as ONNX nodes; onnx_graph.py joins them.

Scaling repeats OpenCV's arithmetic in OpenCV's order: one grey level rounded the other way
changes the scores by more than engines differ.
"""

import numpy as np

from exporting.onnx_builder import GraphBuilder, Value
from files.opencv import cv2
from image_normalizer import WINDOW, WINDOW_SIGMA

# OpenCV's INTER_AREA leaves out what a window covers less than this share of.
_LEAST_SHARE = 1e-3
# Lines of the photo whose scores are computed at once: 8 x 640 x 32 scores fill 0.6 MB, which
# a core's cache holds.
_STRIP = 8


def sides(g: GraphBuilder, x: Value, *axes: int) -> list[Value]:
    """Lengths of axes, int64 scalars."""
    shape = g.add("Shape", x, dtype=np.int64)
    return [g.add("Gather", shape, np.int64(axis)) for axis in axes]


def scaled_side(g: GraphBuilder, side: Value, scale: float, multiple: int) -> Value:
    """``max(1, int(side * scale))``, down to a multiple if it is that large."""
    scaled = (side.astype(np.float64) * scale).astype(np.int64)
    scaled = g.add("Max", scaled, np.int64(1))
    return scaled - g.where(scaled > multiple, scaled % multiple, np.int64(0))


def shrink(g: GraphBuilder, photo: Value, height: Value, width: Value) -> Value:
    """Scale photos down, each pixel the mean of the area it covers, as OpenCV's INTER_AREA.

    Args:
        photo: uint8 (N, H, W, C).
        height, width: int64 scalars, at most H and W.

    Returns:
        Value: float32 (N, height, width, C), whole numbers 0 to 255.
    """
    old_height, old_width = sides(g, photo, 1, 2)
    rows, columns = _ratio(old_height, height), _ratio(old_width, width)
    # OpenCV adds whole pixels up before it divides, where windows hold only whole pixels.
    whole_rows = g.add("Floor", rows) == rows
    is_whole = whole_rows & (g.add("Floor", columns) == columns)
    x = photo.astype(np.float32)
    x = _window_sums(g, x, 2, old_width, width, columns, is_whole)
    x = _window_sums(g, x, 1, old_height, height, rows, is_whole)
    area = (rows * columns).astype(np.float32)
    x = x * g.where(is_whole, 1 / area, 1.0)
    # Halves are rounded to even numbers, but upwards in windows of 2 x 2 pixels.
    is_two_by_two = (rows == 2.0) & (columns == 2.0)
    up = g.add("Floor", x + 0.5)
    return g.where(is_two_by_two, up, g.add("Round", x))


def _ratio(old: Value, new: Value) -> Value:
    # Not old / new: OpenCV inverts the inverse, which can be another float64.
    return 1.0 / (new.astype(np.float64) / old.astype(np.float64))


def _window_sums(g, x, axis: int, old: Value, new: Value, ratio: Value, is_whole):
    """Weighted sums over the windows along an axis of (N, H, W, C), float32.

    Weights are the shares of the window that its pixels fill; 1 each where is_whole.
    """
    first = _count_up(g, new).astype(np.float64) * ratio
    last = first + ratio
    window = g.add("Min", ratio, old.astype(np.float64) - first)
    start = g.add("Floor", first)

    def add_tap(number: Value, total: Value) -> Value:
        pixel = start + number.astype(np.float64)
        share = g.add("Min", pixel + 1, last) - g.add("Max", pixel, first)
        is_in = share > _LEAST_SHARE
        share = g.where(is_in, share / window, 0.0)
        weight = g.where(is_whole, is_in.astype(np.float64), share)
        pixel = g.add("Min", pixel.astype(np.int64), old - 1)
        return total + _take(g, x, pixel, axis) * _along(
            g, weight.astype(np.float32), axis
        )

    nothing = _take(g, x, _count_up(g, new), axis) * 0
    taps = g.add("Ceil", ratio).astype(np.int64) + 1
    return g.repeat(taps, add_tap, nothing)[0]


def normalize(g: GraphBuilder, x: Value, normalizer: str) -> Value:
    """What image_normalizer.py does: float32 (N, C, H, W), 0 to 255, to float32 of that shape."""
    if normalizer == "none":
        return x / 255
    return _gcn(g, x) if normalizer == "GCN" else _lcn(g, x)


def _gcn(g: GraphBuilder, x: Value) -> Value:
    x = x.astype(np.float64)
    mean = _mean(g, x)
    variance = _mean(g, x * x) - mean * mean
    deviation = g.add("Sqrt", g.add("Max", variance, 0.0))
    varies = deviation > g.add("Abs", mean) * 1e-6
    divisor = g.where(varies, deviation, 1.0)
    return ((x - mean) * varies.astype(np.float64) / divisor).astype(np.float32)


def _lcn(g: GraphBuilder, x: Value) -> Value:
    centred = x - _blur(g, x)
    deviation = g.add("Sqrt", _blur(g, centred * centred))
    floor = _mean(g, deviation)
    varies = floor > _mean(g, g.add("Abs", x)) * 1e-6
    # Of a constant channel nothing is left, and its deviation may be 0.
    divisor = g.where(varies, g.add("Max", deviation, floor), 1.0)
    return centred * varies.astype(np.float32) / divisor


def _blur(g: GraphBuilder, x: Value) -> Value:
    """cv2.GaussianBlur of (N, C, H, W): both ways a weighted sum of shifted copies."""
    weights = cv2.getGaussianKernel(WINDOW[0], WINDOW_SIGMA, cv2.CV_32F).ravel()
    for axis in (3, 2):
        (side,) = sides(g, x, axis)
        positions = _count_up(g, side)
        total = None
        for shift, weight in enumerate(weights, -(len(weights) // 2)):
            mirrored = _reflect(g, positions + shift, side)
            tap = _take(g, x, mirrored, axis) * weight
            total = tap if total is None else total + tap
        x = total
    return x


def _mean(g: GraphBuilder, x: Value) -> Value:
    return g.add("ReduceMean", x, axes=[2, 3], keepdims=1)


def fill_up(g: GraphBuilder, x: Value, multiple: int) -> Value:
    """Fill sides of (N, C, H, W) up to multiples with the mirror image: those below one."""
    for axis in (2, 3):
        (side,) = sides(g, x, axis)
        full = side + (0 - side) % multiple
        x = _take(g, x, _reflect(g, _count_up(g, full), side), axis)
    return x


def _reflect(g: GraphBuilder, position: Value, side: Value) -> Value:
    """Positions beyond an edge, mirrored at the outermost pixel as often as it takes."""
    period = g.add("Max", side * 2 - 2, np.int64(1))
    return (side - 1) - g.add("Abs", (side - 1) - position % period)


def upsampled_argmax(
    g: GraphBuilder, scores: Value, height: Value, width: Value
) -> Value:
    """Bring scores to the photo's size and take the class with the largest.

    A few lines at a time: the memory of all would be n_class times the photo's.

    Args:
        scores: float32 (N, n_class, h, w).
        height, width: of the photo, int64 scalars.

    Returns:
        Value: int64 (N, height, width), class numbers.
    """
    h, w = sides(g, scores, 2, 3)
    # Gather is fast along the first axis, where it copies long pieces.
    x = g.add("Transpose", scores, perm=[3, 0, 2, 1])  # (w, N, h, n_class)
    x = _between(g, x, *_neighbours(g, width, w))
    x = g.add("Transpose", x, perm=[2, 1, 0, 3])  # (h, N, width, n_class)
    neighbours = _neighbours(g, height, h)

    def strip(number: Value) -> Value:
        lines = number * _STRIP + np.arange(_STRIP)
        lines = g.add("Min", lines, height - 1)  # the last strip repeats the last line
        strip = _between(g, x, *(_take(g, n, lines, 0) for n in neighbours))
        return g.add("ArgMax", strip, axis=3, keepdims=0, dtype=np.int64)

    strips = (height + (_STRIP - 1)) / _STRIP
    classes = g.repeat(strips, strip)[0]  # (strips, lines of each, N, width)
    shape = g.add("Shape", classes, start=2, dtype=np.int64)
    shape = g.add("Concat", np.array([-1]), shape, axis=0, dtype=np.int64)
    classes = g.add("Reshape", classes, shape)
    classes = _take(g, classes, _count_up(g, height), 0)  # without the repeated lines
    return g.add("Transpose", classes, perm=[1, 0, 2])


def _neighbours(g: GraphBuilder, new: Value, old: Value) -> tuple[Value, Value, Value]:
    """For each pixel of an upsampled line the two it lies between, and the second one's share.

    Centres of pixels come onto centres of pixels, as in OpenCV's INTER_LINEAR.
    """
    ratio = old.astype(np.float64) / new.astype(np.float64)
    position = (_count_up(g, new).astype(np.float64) + 0.5) * ratio - 0.5
    end = (old - 1).astype(np.float64)
    position = g.add("Min", g.add("Max", position, 0.0), end)
    above = position.astype(np.int64)
    share = (position - above.astype(np.float64)).astype(np.float32)
    return above, g.add("Min", above + 1, old - 1), share


def _between(g, x: Value, above: Value, below: Value, share: Value) -> Value:
    """Linear interpolation along the first of four axes."""
    upper, lower = _take(g, x, above, 0), _take(g, x, below, 0)
    return upper + (lower - upper) * _along(g, share, 0)


def _count_up(g: GraphBuilder, count: Value) -> Value:
    """0, 1, ... count - 1: int64 (count,)."""
    return g.add("Range", np.int64(0), count, np.int64(1), dtype=np.int64)


def _take(g: GraphBuilder, x: Value, indices: Value, axis: int) -> Value:
    return g.add("Gather", x, indices, axis=axis)


def _along(g: GraphBuilder, weights: Value, axis: int) -> Value:
    """Give (n,) the dimensions that it needs to be multiplied along one of four axes."""
    return g.add("Unsqueeze", weights, np.arange(1, 4 - axis))
