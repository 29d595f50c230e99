"""Averages the weights over the last steps of a training; train.py validates and stores the average.

Adam's steps with few images wander about the minimum; their average lies nearer to it (Polyak,
Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992).
"""

import copy

import chainer
import numpy as np

# In step t the decay is at most (1 + t) / (10 + t): otherwise the random weights of the start
# would stay in the average for long.
_START = 10


class WeightAverage:
    """The exponential moving average of a model's weights.

    Args:
        model (Link): on its device, not trained yet.
        decay (float): what the average so far counts for in the next one, in [0, 1); 0: there is
            no average, and ``model`` stands for itself.

    Attributes:
        model (Link): the network with the averaged weights.
    """

    def __init__(self, model: chainer.Link, decay: float):
        self.model = copy.deepcopy(model) if decay else model
        self._decay = decay
        # float16 weights are too coarse to be averaged: (1 - decay) of a change is lost.
        self._values = {
            name: param.array.astype(np.float32)
            for name, param in (model.namedparams() if decay else ())
        }

    def restart(self, trained: chainer.Link) -> None:
        """Begin again from the weights of a model."""
        weights = dict(trained.namedparams())
        for name, param in self.model.namedparams() if self._decay else ():
            self._values[name] = weights[name].array.astype(np.float32)
            param.array[...] = weights[name].array

    def update(self, trained: chainer.Link, step: int) -> None:
        """Take the weights after a step of the training in; steps are counted from 1."""
        if not self._decay:
            return
        share = 1 - min(self._decay, (1 + step) / (_START + step))
        weights = dict(trained.namedparams())
        for name, param in self.model.namedparams():
            value = self._values[name]
            value += np.float32(share) * (weights[name].array - value)
            param.array[...] = value

    def serialize(self, serializer) -> None:
        """Store or read the average."""
        for name, param in sorted(self.model.namedparams() if self._decay else ()):
            value = serializer(name.lstrip("/"), self._values[name])
            if isinstance(serializer, chainer.Deserializer):
                self._values[name] = param.device.send(value)
                param.array[...] = self._values[name]
