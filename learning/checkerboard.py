"""Why a deconvolution's kernel is a multiple of its stride: the figure of the checkerboards."""

import chainer
import numpy as np
import threadpoolctl
from chainer import functions as F

from dataset.image_reader import as_channels
from learning.pictures import png
from learning.subject import Subject

STRIDE = 4
KERNELS = (15, 16)
_STEPS = (0, 30, 300)  # after which a layer is looked at
_BATCH = 4
_RATE = 0.003
_SIDE = 96  # pixels of the photos' middles that are learnt from and shown


def figure(subject: Subject) -> dict:
    """Both kernels, trained from the same start to enlarge photos by 4."""
    photos = np.stack(
        [_middle(as_channels(image, 1)[..., 0]) for image, _ in subject.images]
    )
    photos = photos[:, None] / np.float32(255)
    with threadpoolctl.threadpool_limits(1):  # too small for more threads
        runs = [train(photos, ksize) for ksize in KERNELS]
    return {"stride": STRIDE, "runs": runs, "steps": _STEPS[-1]}


def train(photos: np.ndarray, ksize: int) -> dict:
    """Train one deconvolution to make photos out of photos a quarter of the size.

    All weights begin alike, so that what is uneven at the start comes from the overlap alone.

    Args:
        photos: float32 (N, 1, H, W) in [0, 1].
        ksize: side of the kernel.
    """
    layer = even_kernel(ksize)
    optimizer = chainer.optimizers.Adam(_RATE).setup(layer)
    small = shrunk(photos)
    order = np.random.default_rng(0)
    states = []
    for step in range(_STEPS[-1] + 1):
        if step in _STEPS:
            states.append(_state(layer, small[:1], step))
        batch = order.choice(len(photos), min(_BATCH, len(photos)), replace=False)
        # Chainer 7.8.1 fails to train a deconvolution whose input needs no gradient.
        enlarged = enlarge(layer, chainer.Variable(small[batch]))
        loss = F.mean_squared_error(enlarged, photos[batch])
        layer.cleargrads()
        loss.backward()
        optimizer.update()
    return {"ksize": ksize, "states": states}


def even_kernel(ksize: int) -> chainer.links.Deconvolution2D:
    """A deconvolution of stride 4 whose weights are all alike and keep the mean."""
    pad = (ksize - STRIDE) // 2
    weight = np.float32(STRIDE / ksize) ** 2
    return chainer.links.Deconvolution2D(1, 1, ksize, STRIDE, pad, initialW=weight)


def shrunk(photos: np.ndarray) -> np.ndarray:
    """Means of 4 x 4 pixels: (N, 1, H, W) -> (N, 1, H / 4, W / 4)."""
    n, _, height, width = photos.shape
    blocks = photos.reshape(n, 1, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    return blocks.mean(axis=(3, 5))


def enlarge(layer, small) -> chainer.Variable:
    """Four times the size; an odd kernel gives a row and a column more, which are cut off."""
    height, width = (STRIDE * side for side in small.shape[2:])
    return layer(small)[:, :, :height, :width]


def unevenness(layer) -> float:
    """What the layer adds to a plain grey picture: deviation by mean, far from the border.

    The pattern repeats every 4 pixels: a checkerboard.
    """
    grey = np.full((1, 1, 12, 12), 0.5, np.float32)
    with chainer.no_backprop_mode():
        inside = enlarge(layer, grey).array[0, 0, 16:32, 16:32]
    return float(inside.std() / abs(inside.mean()))


def _state(layer, small: np.ndarray, step: int) -> dict:
    with chainer.no_backprop_mode():
        enlarged = enlarge(layer, small).array[0, 0]
    return {
        "step": step,
        "unevenness": unevenness(layer),
        "picture": png((255 * np.clip(enlarged, 0, 1)).astype(np.uint8)),
    }


def _middle(photo: np.ndarray) -> np.ndarray:
    """The middle of a photo (H, W), filled up with its mirror image where it is smaller."""
    missing = [max(0, _SIDE - side) for side in photo.shape]
    photo = np.pad(photo, [(0, n) for n in missing], mode="symmetric")
    top, left = ((side - _SIDE) // 2 for side in photo.shape)
    return photo[top : top + _SIDE, left : left + _SIDE]
