"""Averages what several models say about a picture; trained_model.py makes it for predict.py."""

import math

import chainer_compat

import chainer
import chainer.functions as F


class Ensemble(chainer.ChainList):
    """Several models that are used as one: the mean of their probabilities decides.

    Args:
        models (FCN): with the same classes and channels, which get the same input.
    """

    def scores(self, x) -> chainer.Variable:
        """Class scores before softmax, as FCN.scores(): the logarithm of the mean probability.

        Args:
            x (Variable or ndarray): float32 (N, in_ch, H, W), normalised images.

        Returns:
            Variable: float32 (N, n_class, H, W); softmax of it is the mean of the models'
            softmaxes.
        """
        # As logarithms: a probability that is too small for float32 stays finite.
        logs = F.stack([F.log_softmax(model.scores(x)) for model in self])
        return F.logsumexp(logs, axis=0) - math.log(len(self))
