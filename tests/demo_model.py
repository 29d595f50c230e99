"""An untrained network in the place of the demo's model, for examples that load it."""

import json
from pathlib import Path

import numpy as np

from dataset.toy_street.canvas import LABEL_COLORS
from fcn_squeeze import FCN
from files import weights

_SETTINGS = {"in_ch": 3, "bypass": True, "image_scale": 0.25, "normalizer": "GCN"}


def write_demo_model(folder: Path) -> None:
    """Write ``result/demo/model/fcn_best.npz`` into a folder."""
    np.random.seed(1)
    path = folder / "result" / "demo" / "model" / "fcn_best.npz"
    text = json.dumps({"settings": _SETTINGS, "classes": list(LABEL_COLORS.items())})
    weights.save_npz(str(path), FCN(len(LABEL_COLORS), 3, bypass=True), text)
