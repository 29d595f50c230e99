"""The Lovász-Softmax loss, which approximates 1 - mean IoU; fcn_squeeze.py adds it.

Cross entropy counts pixels: a sign of 20 pixels hardly matters beside a road. The IoU of a
class counts by class. It has no gradient, but its Lovász extension has (Berman, Triki,
Blaschko: *The Lovász-Softmax loss*, CVPR 2018, equations 8 to 10).
"""

import chainer
import numpy as np

from layers import threads
from layers.functions import bincount

IGNORED = -1  # the label of pixels that are left out
# The paper sorts the pixels by their errors, in [0, 1]. Here they are counted in a histogram
# of so many steps: 0.14 ms a class for 176 x 240 pixels instead of 2.8. Errors in one step
# share their gradient, and the loss differs from the paper's by less than one step.
_STEPS = 4096


class _LovaszSoftmax(chainer.FunctionNode):
    _gx = None

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        loss, self._gx = self._loss(*inputs)
        return (loss,)

    def _loss(self, x, t):
        """The loss and its gradient by x (N, C, H, W)."""
        xp = chainer.backend.get_array_module(x)
        # (N, C, H * W) and (N, H * W)
        scores, labels = x.reshape(*x.shape[:2], -1), t.reshape(len(t), -1)
        gx = xp.empty_like(scores)
        losses = xp.empty(len(x), x.dtype)
        pixels = (labels != IGNORED).sum(axis=1)
        shares = (pixels / xp.maximum(pixels.sum(), 1)).astype(x.dtype)

        def image(n: int) -> None:
            valid = labels[n] != IGNORED
            losses[n] = _loss_of_image(scores[n], labels[n], valid, shares[n], gx[n])

        if xp is np:
            threads.parallel(image, range(len(x)))
        else:
            for n in range(len(x)):
                image(n)
        return xp.asarray(losses.sum()), gx.reshape(x.shape)

    def backward(self, indexes, grad_outputs):
        # Not kept after use: the array is as large as the scores.
        gx, self._gx = self._gx, None
        if gx is None:
            _, gx = self._loss(*(v.array for v in self.get_retained_inputs()))
        gx *= grad_outputs[0].array
        return chainer.Variable(gx, requires_grad=False), None


def _loss_of_image(scores, labels, valid, share, gradient):
    """Loss of one image times its share; its gradient goes into ``gradient``.

    Args:
        scores, gradient: (C, P), P pixels.
        labels: (P,).
        valid: bool (P,), whether a pixel counts.
        share: What the image counts in the batch, a float.

    Returns:
        ndarray: scalar; NaN if a score is NaN, or a pixel's largest is infinite.
    """
    xp, n_class = chainer.backend.get_array_module(scores), len(scores)
    probability = xp.empty_like(scores)
    xp.subtract(scores, scores.max(axis=0), out=probability)
    xp.exp(probability, out=probability)
    total = probability.sum(axis=0)
    probability /= total
    present = bincount(xp.where(valid, labels, n_class), n_class + 1)[:-1] > 0
    weights = (present * share / xp.maximum(present.sum(), 1)).astype(scores.dtype)
    steps_without = xp.where(valid, 0, 2 * _STEPS)
    pull = xp.zeros_like(total)  # sum of slope * probability over the classes, (P,)
    loss = xp.dot(pull, total)  # 0; or NaN, where a total is
    gradient.fill(0)
    # On a GPU all classes: to ask for those present would wait for it. Absent ones weigh 0.
    for c in np.flatnonzero(present) if xp is np else range(n_class):
        truth = labels == c
        error = truth - probability[c]  # positive where the pixel is of the class
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

    Take the pixels in order of their errors, largest first, and count each as wrong: by how
    much 1 - IoU grows with a pixel is the size of its derivative. Pixels of one step share
    the growth of the step. The sign is minus for pixels of the class, which more probability
    makes better, and plus for others.

    Args:
        error (ndarray): float (P,), in [-1, 1].
        truth (ndarray): bool (P,), whether the pixel is of the class.
        steps_without (ndarray): int (P,), 0, or 2 * _STEPS for pixels that do not count.

    Returns:
        ndarray: float (P,); minus the sum of these times the errors is the loss.
    """
    xp = chainer.backend.get_array_module(error)
    # fmin: an error of NaN counts as 1, since NaN has no step. The loss is NaN all the same.
    step = (xp.fmin(xp.abs(error), 1) * (_STEPS - 1)).astype(steps_without.dtype)
    step += steps_without
    step += truth * step.dtype.type(_STEPS)
    # Rows: pixels of other classes, of the class, two of pixels that do not count (cut off).
    # Columns: steps, reversed so that the largest error comes first. (2, _STEPS)
    counts = bincount(step, 4 * _STEPS).reshape(4, _STEPS)[:2, ::-1]
    pixels = counts.sum(axis=0)
    # So many pixels are wrong when all errors down to a step are: (_STEPS,) each.
    others, missed = xp.cumsum(counts, axis=1)
    total = missed[-1]
    jaccard = 1 - (total - missed) / xp.maximum(total + others, 1)
    growth = jaccard.copy()
    growth[1:] -= jaccard[:-1]
    growth *= weight / xp.maximum(pixels, 1)
    table = xp.zeros((3, _STEPS), error.dtype)
    table[0], table[1] = growth[::-1], -growth[::-1]
    return xp.take(table.ravel(), step)


def lovasz_softmax(x, t) -> chainer.Variable:
    """Mean Lovász-Softmax loss of the images, each over the classes that occur in it.

    Each image counts by its number of labelled pixels, so that the losses of the parts of a
    batch add up to the loss of the whole, as those of cross entropy do.

    Args:
        x (Variable or ndarray): float32 or float64 (N, C, H, W), scores before softmax.
        t (Variable or ndarray): int32 (N, H, W), class numbers; -1 is left out.

    Returns:
        Variable: the loss, a scalar in [0, 1]; NaN if a score is NaN or infinite.
    """
    return _LovaszSoftmax().apply((x, t))[0]
