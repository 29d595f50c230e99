"""Loads a trained model for use from Python, in three lines: from evaluation import load"""

import os

import chainer
import numpy as np

from evaluation.model_description import args_of_description
from evaluation.photo_segmenter import PhotoSegmenter
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files import weights
from files.errors import UserError
from layers.device import find_device

_CALLED = "load"  # what messages begin with


def load(
    path: str | os.PathLike, device: int = -1, mirror: bool = False
) -> PhotoSegmenter:
    """A trained model, ready to be applied to photos.

    No configuration is read or changed: the model's own file says how it must be used. Several
    models may be loaded at once, and used in several threads.

    Example:
        >>> from evaluation import load
        >>> segment = load("result/demo")
        >>> result = segment("photo.jpg")
        >>> result.classes.shape, result.classes.dtype.name
        ((112, 160), 'uint8')
        >>> result.names[4]
        'Building'
        >>> result.confidence.shape, result.confidence.dtype.name
        ((112, 160), 'float32')
        >>> result.overlay.shape
        (112, 160, 3)
        >>> paths = result.save("out")
        >>> [os.path.basename(path) for path in paths]
        ['photo_classes.png', 'photo_color.png', 'photo_overlay.png', 'photo_confidence.png']
        >>> for result in segment(["photo.jpg", np.zeros((50, 70), np.uint8)]):
        ...     print(result.name, result.classes.shape)
        photo (112, 160)
        photo-2 (50, 70)

    Args:
        path: folder of a run, of which the best model is taken, or a model's file.
        device: -1 for the CPU, or the number of a GPU.
        mirror: average the scores with those of the mirrored photo: better, in twice the time.

    Returns:
        PhotoSegmenter: called with a photo, it gives a Result.

    Raises:
        UserError: there is no model, its file is damaged, or does not say how it was trained;
            there is no such GPU, or device is no such number.
    """
    if not isinstance(device, int | np.integer) or device < -1:
        raise UserError(
            f"{_CALLED}: device is {device!r}; give -1 for the CPU, or the number of a GPU"
        )
    path = _model_file(os.fspath(path))
    description = weights.read_description(path, _CALLED)
    if description is None:
        raise UserError(
            f"{_CALLED}: {path} does not say how it was trained, as files of the book's script "
            f"and of Chainer's save_npz; use predict.py --config my.yaml --model {path}"
        )
    args = args_of_description(description, path)
    with chainer.using_config("dtype", np.float32):
        model = FCN(args.n_class, args.in_ch, args.dilated, args.bypass)
    weights.load_model(path, model, _CALLED)
    device = find_device(int(device), "device")
    model.to_device(device)
    segmenter = Segmenter(model, args, device, mirror, temperature=args.temperature)
    return PhotoSegmenter(segmenter, args.label_table)


def _model_file(path: str) -> str:
    """The file of a model, or of the best one of a run's folder."""
    if os.path.isfile(path):
        return path
    if not os.path.exists(path):
        raise UserError(f"{_CALLED}: {path}: no such file or folder")
    found = os.path.join(path, "model", "fcn_best.npz")
    if not os.path.isfile(found):
        raise UserError(
            f"{_CALLED}: {path} is no folder of a run: it holds no model/fcn_best.npz; give the "
            "output_path of a training, or a model's file"
        )
    return found
