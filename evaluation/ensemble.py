"""Averages what several models say about a picture; trained_model.py makes it for predict.py."""

import math

import chainer
import chainer.functions as F


class Ensemble(chainer.ChainList):
    """Several models that are used as one: the mean of their probabilities decides.

    Args:
        models (FCN): with the same classes and channels, which get the same input.
        temperatures (list of float): what the scores of each are divided by before softmax.
    """

    def __init__(self, *models: chainer.Link, temperatures: list[float]):
        super().__init__(*models)
        self._temperatures = temperatures

    def scores(self, x) -> chainer.Variable:
        """Class scores before softmax, as FCN.scores(): the logarithm of the mean probability.

        Args:
            x (Variable or ndarray): float32 (N, in_ch, H, W), normalised images.

        Returns:
            Variable: float32 (N, n_class, H, W); softmax of it is the mean of the models'
            softmaxes.
        """
        # As logarithms: a probability that is too small for float32 stays finite.
        models = zip(self, self._temperatures, strict=True)
        logs = F.stack([F.log_softmax(m.scores(x) / t) for m, t in models])
        return F.logsumexp(logs, axis=0) - math.log(len(self))
