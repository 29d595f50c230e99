"""Softmax cross entropy, with and without class weights, fast for NumPy arrays; ``fcn_squeeze`` calls it.

As in ``functions``, Chainer's own code computes what the CPU code does not cover.
"""

import chainer
import numpy as np
from chainer.functions.loss import softmax_cross_entropy as stock_loss

from layers import elementwise
from layers.functions import by_image, double_backprop, is_covered


class _SoftmaxCrossEntropy(stock_loss.SoftmaxCrossEntropy):
    _gx = None
    plain = None  # the loss without class weights, where it is known

    def _takes(self, x, t) -> bool:
        return (
            is_covered(x)
            and type(t) is np.ndarray
            and t.dtype.kind == "i"
            and x.ndim == 4
            and self._takes_weight(x)
            and self.reduce == "mean"
        )

    def _takes_weight(self, x) -> bool:
        weight = self.class_weight
        return weight is None or (
            type(weight) is np.ndarray
            and (weight.dtype, len(weight)) == (x.dtype, x.shape[1])
        )

    def forward_cpu(self, inputs):
        x, t = inputs
        if not self._takes(x, t):
            return super().forward_cpu(inputs)
        if chainer.is_debug():
            stock_loss._check_input_values(x, t, self.ignore_label)
        self.retain_inputs((0, 1))
        count = np.count_nonzero(t != self.ignore_label) if self.normalize else len(x)
        self._coeff = 1.0 / max(count, 1)
        with_gradient = chainer.config.enable_backprop
        loss, self._gx, self.plain = self._loss(x, t, with_gradient)
        return (np.asarray(loss, x.dtype),)

    def _loss(self, x, t, gradient: bool):
        return elementwise.softmax_cross_entropy(
            by_image(x),
            t,
            self.ignore_label,
            self._coeff,
            gradient,
            self.class_weight,
        )

    def backward(self, input_indexes, grad_outputs):
        x, t = (v.array for v in self.get_retained_inputs())
        if double_backprop() or not self._takes(x, t):
            return super().backward(input_indexes, grad_outputs)
        # Not kept after use: the array is as large as the scores.
        gx, self._gx = self._gx, None
        if gx is None:
            _, gx, _ = self._loss(x, t, True)
        if grad_outputs[0].array != 1:
            gx *= grad_outputs[0].array
        return chainer.Variable(gx, requires_grad=False), None


def softmax_cross_entropy(
    x,
    t,
    normalize=True,
    cache_score=True,
    class_weight=None,
    ignore_label=-1,
    reduce="mean",
    enable_double_backprop=False,
    **kwargs,
):
    """``chainer.functions.softmax_cross_entropy``."""
    if enable_double_backprop or kwargs or not _is_numpy(x):
        return chainer.functions.softmax_cross_entropy(
            x,
            t,
            normalize,
            cache_score,
            class_weight,
            ignore_label,
            reduce,
            enable_double_backprop,
            **kwargs,
        )
    function = _SoftmaxCrossEntropy(
        normalize, cache_score, class_weight, ignore_label, reduce
    )
    return function.apply((x, t))[0]


def weighted_cross_entropy(x, t, class_weight):
    """Softmax cross entropy with and without class weights, on a CPU in one pass.

    Args:
        x (Variable): float (N, C, H, W), scores.
        t (Variable or ndarray): int (N, H, W), labels; -1 is left out.
        class_weight (ndarray): float (C,); None: all are 1.

    Returns:
        tuple: Variable, the weighted loss; ndarray, the plain one, through which no gradient goes.
    """
    function = _SoftmaxCrossEntropy(class_weight=class_weight)
    loss = function.apply((x, t))[0]
    plain = function.plain
    if plain is None:
        with chainer.no_backprop_mode():
            plain = chainer.functions.softmax_cross_entropy(x, t).array
    return loss, np.asarray(plain) if _is_numpy(x) else plain


def _is_numpy(x) -> bool:
    return isinstance(x.array if isinstance(x, chainer.Variable) else x, np.ndarray)
