"""The Lovász-Softmax loss, which approximates 1 - mean IoU; fcn_squeeze.py adds it.

Cross entropy counts pixels: a sign of 20 pixels hardly matters beside a road. The IoU of a
class counts by class. It has no gradient, but its Lovász extension has (Berman, Triki,
Blaschko: *The Lovász-Softmax loss*, CVPR 2018, equations 8 to 10).
"""

import chainer_compat

import chainer
import numpy as np
from chainer.backends import cuda

import cpu_threads

# The errors, in [0, 1], are sorted into so many steps: 0.14 ms a class for 176 x 240 pixels,
# where sorting them exactly, as the paper does, takes 2.6. Errors in one step share their
# gradient, and the loss differs by less than one step.
_STEPS = 4096


class _LovaszSoftmax(chainer.FunctionNode):
    def __init__(self, ignore_label: int):
        self._ignore_label = ignore_label

    def forward(self, inputs):
        x, t = inputs
        xp = chainer.backend.get_array_module(x)
        scores, labels = x.reshape(*x.shape[:2], -1), t.reshape(len(t), -1)
        losses = xp.empty(len(x), x.dtype)
        gradient = xp.empty_like(scores)
        pixels = (labels != self._ignore_label).sum(axis=1)
        shares = (pixels / xp.maximum(pixels.sum(), 1)).astype(x.dtype)

        def image(n: int) -> None:
            valid = labels[n] != self._ignore_label
            losses[n], gradient[n] = _loss_of_image(scores[n], labels[n], valid)
            gradient[n] *= shares[n]

        images = range(len(x))
        if xp is np:
            cpu_threads.parallel(image, images)
        else:
            for n in images:
                image(n)
        self._gx = gradient.reshape(x.shape)
        return (xp.asarray((losses * shares).sum()),)

    def backward(self, indexes, grad_outputs):
        gx = self._gx * grad_outputs[0].array
        return chainer.Variable(gx, requires_grad=False), None


def _loss_of_image(scores, labels, valid):
    """Loss and its gradient of one image: scores (C, P), labels and valid (P,)."""
    xp = chainer.backend.get_array_module(scores)
    probability = xp.exp(scores - scores.max(axis=0))
    probability /= probability.sum(axis=0)
    slope = xp.zeros_like(probability)
    loss = present = xp.zeros((), scores.dtype)
    for c in range(len(scores)):
        truth = labels == c
        is_present = truth.any()
        if xp is np and not is_present:
            continue  # a GPU would have to be waited for
        error = xp.abs(truth - probability[c])
        weight = _jaccard_slopes(error, truth, valid)
        weight *= is_present
        loss = loss + (error * weight).sum()
        present = present + is_present
        slope[c] = xp.where(truth, -weight, weight)
    present = xp.maximum(present, 1).astype(scores.dtype)
    # Through softmax: dp_i / dx_j = p_i (1 if i = j else 0 - p_j).
    slope -= (slope * probability).sum(axis=0)
    slope *= probability
    return loss / present, slope / present


def _jaccard_slopes(error, truth, valid):
    """How much each pixel's error adds to the extension of 1 - IoU of a class.

    With the pixels in order of their errors, largest first, it is what 1 - IoU grows by when
    the pixel is counted as wrong after all before it. Pixels of one step share their growth.

    Args:
        error (ndarray): float (P,), in [0, 1].
        truth (ndarray): bool (P,), whether the pixel is of the class.
        valid (ndarray): bool (P,), whether it counts at all.

    Returns:
        ndarray: float (P,); the loss is the sum of these times the errors.
    """
    xp = chainer.backend.get_array_module(error)
    step = (_STEPS - 1 - (error * (_STEPS - 1)).astype(np.int32)).astype(np.int32)
    step[~valid] = _STEPS  # beyond all
    both = _count(step + (_STEPS + 1) * truth, 2 * (_STEPS + 1))
    of_class = both[_STEPS + 1 : -1]
    pixels = of_class + both[:_STEPS]
    found = xp.cumsum(of_class)
    total = found[-1]
    union = total + xp.cumsum(pixels - of_class)
    jaccard = 1 - (total - found) / xp.maximum(union, 1)
    growth = jaccard.copy()
    growth[1:] -= jaccard[:-1]
    slopes = xp.zeros(_STEPS + 1, error.dtype)
    slopes[:-1] = growth / xp.maximum(pixels, 1)
    return slopes[step]


def _count(numbers, size: int):
    """``bincount``, which in CuPy would bring the largest number to the host."""
    if isinstance(numbers, np.ndarray):
        return np.bincount(numbers, minlength=size)
    counts = cuda.cupy.zeros(size, np.int32)
    cuda.cupyx.scatter_add(counts, numbers, cuda.cupy.ones_like(numbers))
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
