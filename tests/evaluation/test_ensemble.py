"""The mean of several models' probabilities."""

import chainer
import numpy as np

from evaluation.ensemble import Ensemble


class Fixed(chainer.Link):
    """A network that gives the same scores for every picture."""

    def __init__(self, scores):
        super().__init__()
        self.given = np.float32(scores).reshape(1, -1, 1, 1)

    def scores(self, x):
        return chainer.Variable(self.given)


def softmax(scores):
    return np.exp(scores) / np.exp(scores).sum()


def test_softmax_of_the_scores_is_the_mean_of_the_softmaxes():
    a, b = np.array([0.0, 1.0, 3.0]), np.array([2.0, 2.0, -1.0])
    scores = (
        Ensemble(Fixed(a), Fixed(2 * b), temperatures=[1, 2]).scores(None).array.ravel()
    )
    np.testing.assert_allclose(np.exp(scores), (softmax(a) + softmax(b)) / 2, rtol=1e-6)


def test_probabilities_too_small_for_float32_stay_in_order():
    a = [0.0, -300.0, -200.0]
    scores = (
        Ensemble(Fixed(a), Fixed(a), temperatures=[1, 1]).scores(None).array.ravel()
    )
    np.testing.assert_allclose(scores, a, atol=1e-4)
