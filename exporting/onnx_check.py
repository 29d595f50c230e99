"""Makes sure that an exported model does what the Segmenter does; export.py calls it.

Two engines never round alike: pixels whose two best scores are almost equal may differ.
"""

import importlib.util

import numpy as np
import onnx

from dataset.augmentation import resize_image, scaled_size
from evaluation.segmenter import Segmenter
from exporting.onnx_graph import PhotoSettings
from files.errors import UserError
from files.opencv import cv2
from image_normalizer import make_normalizer

# Scores are of the size of 1 to 20; engines differ by about 1e-6 of that.
_CLEAR_GAP = 1e-4


def check_model(
    path: str, segmenter: Segmenter, settings: PhotoSettings, photo: np.ndarray
) -> str | None:
    """Have ONNX's checker look at a file, and ONNX Runtime run it.

    Args:
        path: what ``onnx_graph.photo_graph()`` or ``network_graph()`` made.
        segmenter: of the same model.
        settings: of the same model.
        photo: uint8 (H, W, in_ch).

    Returns:
        str: what the comparison found; None where ONNX Runtime is not installed.

    Raises:
        UserError: the file is no valid ONNX model, or a pixel has another class though its
            best score is clearly the best.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # noqa: BLE001 (its kinds have no common parent)
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"ONNX's checker refuses the model: {reason}") from None
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    model = onnx.load(path)
    if model.graph.input[0].name == "image":
        return _compare_networks(model, segmenter, settings, photo)
    return _compare_photos(model, segmenter, photo)


def _compare_photos(model, segmenter: Segmenter, photo: np.ndarray) -> str:
    shape = ["batch", "classes", "rows", "columns"]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, shape)
    )
    classes, scores = _run(model, {"photo": photo[None]})
    differs = classes[0] != segmenter.classes(photo)
    size = differs.shape[::-1]
    return _compare(differs, [cv2.resize(plane, size)[differs] for plane in scores[0]])


def _compare_networks(model, segmenter: Segmenter, settings, photo) -> str:
    multiple = settings.multiple
    height, width = (
        max(side - side % multiple, multiple)
        for side in scaled_size(photo.shape[:2], settings.image_scale)
    )
    image = make_normalizer(settings.normalizer)(resize_image(photo, height, width))
    x = np.ascontiguousarray(image.transpose(2, 0, 1))
    (scores,) = _run(model, {"image": x[None]})
    wanted = segmenter.scores(x)
    differs = scores[0].argmax(axis=0) != wanted.argmax(axis=0)
    return _compare(differs, wanted[:, differs])


def _run(model: onnx.ModelProto, inputs: dict) -> list[np.ndarray]:
    import onnxruntime  # not installed everywhere

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def _compare(differs: np.ndarray, scores) -> str:
    """Differing pixels are allowed where the two best scores are nearly equal.

    Args:
        differs: bool (H, W).
        scores: (n_class, M) of the M pixels that differ.
    """
    if not differs.any():
        return f"all {differs.size:,} pixels have the same class"
    second, best = np.sort(scores, axis=0)[-2:]
    clear = np.count_nonzero(~(best - second < _CLEAR_GAP))  # NaN is not equal
    if clear:
        raise UserError(
            f"ONNX Runtime finds another class than predict.py for {clear:,} of "
            f"{differs.size:,} pixels of the photo, so nothing was written; this is a bug "
            "of export.py or of ONNX Runtime: please report it"
        )
    return (
        f"the same class but for {differs.sum():,} of {differs.size:,} pixels, whose two "
        f"best scores are closer than {_CLEAR_GAP}"
    )
