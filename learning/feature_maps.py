"""What conv1 and the Fire modules answer to a photo: the figure of the feature maps."""

import chainer
import numpy as np

from fcn_squeeze import FCN, Fire, FireDilated
from learning.pictures import jpeg, png, sheet, signed, stretched
from learning.subject import Subject

_SHOWN = 8  # maps of a layer
_KERNEL_COLUMNS = 16


class _Recorder(chainer.LinkHook):
    """The maps that conv1 and the Fire modules give."""

    name = "Recorder of feature maps"

    def __init__(self, model: FCN):
        self._conv1 = model.conv1  # a Fire has a conv1 of its own
        self.maps: dict[str, np.ndarray] = {}

    def forward_postprocess(self, args) -> None:
        if isinstance(args.link, Fire | FireDilated) or args.link is self._conv1:
            self.maps[args.link.name] = args.out.array[0]


def figure(subject: Subject) -> dict:
    """The strongest maps of each layer, and the kernels of conv1."""
    maps = feature_maps(subject.model, subject.normalized(subject.photo))
    return {
        "layers": [_layer(name, values) for name, values in maps.items()],
        "kernels": png(_kernels(subject.model.conv1.W.array)),
    }


def feature_maps(model: FCN, x: np.ndarray) -> dict[str, np.ndarray]:
    """float32 (maps, H, W) of conv1 and each Fire, for an image float32 (C, H, W)."""
    recorder = _Recorder(model)
    # Not in no_backprop_mode(): conv1 would be one function with its pooling, and not recorded.
    with chainer.using_config("train", False), recorder:
        model.scores(x[None])
    return recorder.maps


def strongest(maps: np.ndarray) -> list[int]:
    """Numbers of maps (N, H, W), the one that varies most over the image first."""
    return np.argsort(-maps.std(axis=(1, 2)), kind="stable").tolist()


def _layer(name: str, maps: np.ndarray) -> dict:
    shown = strongest(maps)[:_SHOWN]
    return {
        "name": name,
        "shape": " x ".join(map(str, maps.shape)),
        "maps": [
            {
                "number": n,
                "deviation": f"{maps[n].std():.2f}",
                "picture": jpeg(stretched(maps[n]), 90),
            }
            for n in shown
        ],
    }


def _kernels(weight: np.ndarray) -> np.ndarray:
    """Kernels (N, C, k, k) as a picture: grey is 0, each to its own largest weight."""
    kernels = np.stack([signed(kernel) for kernel in weight]).transpose(0, 2, 3, 1)
    if kernels.shape[3] == 1:
        kernels = kernels.repeat(3, axis=3)
    return sheet(kernels, _KERNEL_COLUMNS, gap=1)
