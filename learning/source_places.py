"""Where in this project each figure's subject is computed: file and line, found when the page is written."""

import inspect
from collections.abc import Callable

from dataset import augmentation
from evaluator import class_figures, confusion_matrix
from fcn_squeeze import FCN, Fire, FireDilated
from files.paths import PROJECT, relative
from image_normalizer import ImageNormalizer
from layers import lovasz
from layers.deconvolution import Interleave
from learning import layer_table
from mini_batch_loader import DatasetPreProcessor
from training.class_weights import rarity_weights

# For each figure, functions or classes, each with a text that picks a line inside it; an empty text
# picks the line of its def or class.
PLACES: dict[str, list[tuple[Callable, str]]] = {
    "layers": [(FCN.__init__, "self.conv1"), (layer_table.table_of, "")],
    "field": [(FireDilated.__init__, "dilate=2"), (layer_table.box, "")],
    "maps": [(Fire.forward, ""), (FCN.scores, "self.fire2")],
    "branches": [(FCN.scores, "F.concat"), (FCN.__init__, "self.add_layer")],
    "checkerboard": [(FCN.__init__, "self.upsample_final")],
    "deconvolution": [(FCN.scores, "self.upsample_final"), (Interleave, "")],
    "normalization": [(ImageNormalizer.GCN, ""), (ImageNormalizer.LCN, "")],
    "loss": [
        (FCN.forward, "softmax_cross_entropy"),
        (lovasz.lovasz_softmax, ""),
        (rarity_weights, ""),
    ],
    "augmentation": [
        (DatasetPreProcessor._example, "self._training.example"),
        (augmentation.flip, ""),
    ],
    "iou": [(confusion_matrix, ""), (class_figures, "")],
}


def places() -> dict[str, list[str]]:
    """For each figure, "file.py:line" of all its places."""
    return {name: [place(*pair) for pair in pairs] for name, pairs in PLACES.items()}


def place(thing: Callable, text: str) -> str:
    """File and line of a function or class, or of the first line in it that holds a text."""
    lines, first = inspect.getsourcelines(thing)
    offset = next((n for n, line in enumerate(lines) if text and text in line), 0)
    return f"{relative(inspect.getsourcefile(thing), PROJECT)}:{first + offset}"
