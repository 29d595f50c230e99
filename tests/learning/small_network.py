"""A network of three classes and an image for it, the same in every test of learning/."""

import chainer_compat

import chainer
import numpy as np

from fcn_squeeze import FCN


def small_network() -> FCN:
    np.random.seed(3)
    return FCN(3, 3)


def random_image() -> np.ndarray:
    """float32 (3, 32, 48)."""
    return np.random.default_rng(1).normal(size=(3, 32, 48)).astype(np.float32)


def scores(model: FCN, image: np.ndarray) -> np.ndarray:
    """float32 (n_class, H, W) of an image (3, H, W)."""
    with chainer.no_backprop_mode(), chainer.using_config("train", False):
        return model.scores(image[None]).array[0]
