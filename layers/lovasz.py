"""The Lovász-Softmax loss, which approximates 1 - mean IoU; fcn_squeeze.py adds it.

Cross entropy counts pixels: a sign of 20 pixels hardly matters beside a road. The IoU of a
class counts by class. It has no gradient, but its Lovász extension has (Berman, Triki,
Blaschko: *The Lovász-Softmax loss*, CVPR 2018, equations 8 to 10).
"""

import chainer_compat

import chainer
import numpy as np
from chainer.backends import cuda

from layers import threads

# The errors, in [0, 1], are sorted into so many steps: 0.14 ms a class for 176 x 240 pixels,
# where sorting them exactly, as the paper does, takes 2.8. Errors in one step share their
# gradient, and the loss differs by less than one step.
_STEPS = 4096


class _LovaszSoftmax(chainer.FunctionNode):
    _gx = None

    def __init__(self, ignore_label: int):
        self._ignore_label = ignore_label

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        loss, self._gx = self._loss(*inputs)
        return (loss,)

    def _loss(self, x, t):
        """The loss and its gradient."""
        xp = chainer.backend.get_array_module(x)
        scores, labels = x.reshape(*x.shape[:2], -1), t.reshape(len(t), -1)
        gx = xp.empty_like(scores)
        losses = xp.empty(len(x), x.dtype)
        pixels = (labels != self._ignore_label).sum(axis=1)
        shares = (pixels / xp.maximum(pixels.sum(), 1)).astype(x.dtype)

        def image(n: int) -> None:
            valid = labels[n] != self._ignore_label
            losses[n] = _loss_of_image(scores[n], labels[n], valid, shares[n], gx[n])

        if xp is np:
            threads.parallel(image, range(len(x)))
        else:
            for n in range(len(x)):
                image(n)
        return xp.asarray(losses.sum()), gx.reshape(x.shape)

    def backward(self, indexes, grad_outputs):
        # Handed out once and forgotten: the array is as large as the scores.
        gx, self._gx = self._gx, None
        if gx is None:
            _, gx = self._loss(*(v.array for v in self.get_retained_inputs()))
        gx *= grad_outputs[0].array
        return chainer.Variable(gx, requires_grad=False), None


def _loss_of_image(scores, labels, valid, share, gradient):
    """Loss of one image times its share; its gradient goes into ``gradient``.

    Args:
        scores, gradient: (C, P).
        labels: (P,).
        valid: bool (P,), whether a pixel counts.
    """
    xp, n_class = chainer.backend.get_array_module(scores), len(scores)
    probability = xp.empty_like(scores)
    xp.subtract(scores, scores.max(axis=0), out=probability)
    xp.exp(probability, out=probability)
    probability /= probability.sum(axis=0)
    present = _count(xp.where(valid, labels, n_class), n_class + 1)[:-1] > 0
    weights = (present * share / xp.maximum(present.sum(), 1)).astype(scores.dtype)
    steps_without = xp.where(valid, 0, 2 * _STEPS)
    loss, pull = xp.zeros((), scores.dtype), xp.zeros_like(scores[0])
    gradient.fill(0)
    # A GPU would have to be waited for; the weights of absent classes are 0.
    for c in np.flatnonzero(present) if xp is np else range(n_class):
        truth = labels == c
        error = truth - probability[c]  # of the class's own pixels positive
        slope = _slopes(error, truth, steps_without, weights[c])
        gradient[c] = slope
        loss -= xp.dot(slope, error)
        slope *= probability[c]
        pull += slope
    # Through softmax: dp_i / dx_j = p_i (1 if i = j else 0 - p_j).
    for c in range(n_class):
        gradient[c] -= pull
        gradient[c] *= probability[c]
    return loss


def _slopes(error, truth, steps_without, weight):
    """The derivative of a class's loss by its probability in each pixel, times ``weight``.

    With the pixels in order of their errors, largest first, 1 - IoU grows by something when a
    pixel is counted as wrong after all before it: the size of the derivative. Pixels of one
    step share their growth. More probability makes pixels of the class better, others worse.

    Args:
        error (ndarray): float (P,), in [-1, 1].
        truth (ndarray): bool (P,), whether the pixel is of the class.
        steps_without (ndarray): int (P,), 0, or 2 * _STEPS for pixels that do not count.

    Returns:
        ndarray: float (P,); minus the sum of these times the errors is the loss.
    """
    xp = chainer.backend.get_array_module(error)
    step = (xp.abs(error) * (_STEPS - 1)).astype(steps_without.dtype)
    step += steps_without
    step += truth * step.dtype.type(_STEPS)
    # Others, the class's pixels, those that do not count; each from the largest error down.
    counts = _count(step, 4 * _STEPS).reshape(4, _STEPS)[:2, ::-1]
    pixels = counts.sum(axis=0)
    others, found = xp.cumsum(counts, axis=1)
    total = found[-1]
    jaccard = 1 - (total - found) / xp.maximum(total + others, 1)
    growth = jaccard.copy()
    growth[1:] -= jaccard[:-1]
    growth *= weight / xp.maximum(pixels, 1)
    table = xp.zeros((3, _STEPS), error.dtype)
    table[0], table[1] = growth[::-1], -growth[::-1]
    return xp.take(table.ravel(), step)


def _count(numbers, size: int):
    """``bincount``, which in CuPy would bring the largest number to the host."""
    if isinstance(numbers, np.ndarray):
        return np.bincount(numbers, minlength=size)
    counts = cuda.cupy.zeros(size, np.int32)
    cuda.cupyx.scatter_add(counts, numbers, cuda.cupy.ones_like(numbers, np.int32))
    return counts


def lovasz_softmax(x, t, ignore_label: int = -1) -> chainer.Variable:
    """Lovász-Softmax loss of each image, over the classes that occur in it.

    The mean over the images, each with the weight of its labelled pixels: so the parts of a
    batch add up to the whole, as those of cross entropy do.

    Args:
        x (Variable or ndarray): float32 or float64 (N, C, H, W), scores before softmax.
        t (Variable or ndarray): int32 (N, H, W), class numbers.
        ignore_label (int): the label of pixels that are left out.

    Returns:
        Variable: the loss, a scalar in [0, 1].
    """
    return _LovaszSoftmax(ignore_label).apply((x, t))[0]
