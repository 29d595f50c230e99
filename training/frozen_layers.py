"""Keeps layers as they are while the others are trained, ``freeze``; train.py calls it."""

import chainer


def freeze(model: chainer.Chain, layers: list[str]) -> None:
    """Let the optimizer leave layers alone, weight decay included, and compute no gradient for them.

    Where the first layers of the network are frozen, the backward pass ends behind them.

    Args:
        model: the network, for which an optimizer has been set up.
        layers: names of its layers.
    """
    for name in layers:
        layer = getattr(model, name)
        layer.disable_update()
        for param in layer.params():
            # Chainer takes requires_grad only when it makes a variable, and keeps it in two places.
            param._requires_grad = param.node._requires_grad = False
