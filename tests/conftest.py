"""Small data sets on disk, in the project's own format; where CuPy's emulation is."""

import os
import shutil
from pathlib import Path

# Before NumPy is loaded. On images this small, BLAS threads wait for each other most of the
# time: the tests take twice as long with them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
import yaml
from hypothesis import settings

from config import load_config
from files.opencv import cv2
from files.weights import DESCRIPTION

# The same examples in every run, and no time limit: the machine may be busy.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")

ROOT = Path(__file__).parent.parent
EMULATION = ROOT.parent / "shared" / "cupy_on_cpu"

emulated = pytest.mark.skipif(
    not EMULATION.is_dir() or shutil.which(os.environ.get("CXX", "g++")) is None,
    reason="needs ../shared/cupy_on_cpu and a C++ compiler",
)

COLORS = {"Sky": (128, 128, 128), "Road": (128, 64, 128), "Car": (64, 0, 128)}


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Write RGB or single-channel pixels as PNG."""
    bgr = rgb[..., ::-1] if rgb.ndim == 3 else rgb
    assert cv2.imwrite(str(path), bgr)


def stored_weights(path: Path) -> dict[str, np.ndarray]:
    """The parameters in a model's file, without its description."""
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files if key != DESCRIPTION}


class SmallData:
    """A folder with images, colour labels, three lists, a table and a config.yaml."""

    def __init__(
        self, folder: Path, train: int, val: int, test: int, size: tuple[int, int]
    ):
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        self.config_path = folder / "config.yaml"
        rng = np.random.default_rng(5)
        rows = "".join(f"{r},{g},{b},{name}\n" for name, (r, g, b) in COLORS.items())
        (folder / "label_color").write_text("r,g,b,label\n" + rows)
        number = 0
        for split, count in (("train", train), ("val", val), ("test", test)):
            names = [f"{split}_{i}.png" for i in range(count)]
            (folder / f"{split}_pointer").write_text("\n".join(names) + "\n")
            for name in names:
                self.write_pair(
                    name, rng.integers(0, 256, (*size, 3), np.uint8), number
                )
                number += 1
        self.write_config()

    def write_pair(self, name: str, image: np.ndarray, seed: int = 0) -> None:
        """Write an image and a label of blocks of 8 x 8 pixels."""
        height, width = image.shape[:2]
        blocks = np.random.default_rng(seed).integers(
            0, 3, (-(-height // 8), -(-width // 8))
        )
        classes = np.kron(blocks, np.ones((8, 8), int))[:height, :width]
        write_picture(self.images / name, image)
        write_picture(
            self.images / name.replace(".png", "_L.png"),
            np.array(list(COLORS.values()), np.uint8)[classes],
        )

    def write_config(self, **changes) -> Path:
        """Write config.yaml; changes are keys, sections as dicts of keys."""
        config = {
            "image_dir_path": "images",
            "train_image_pointer": "train_pointer",
            "val_image_pointer": "val_pointer",
            "test_image_pointer": "test_pointer",
            "label_path": "label_color",
            "output_path": "result",
            "loader_jobs": 0,
            "training_params": {
                "learning_rate": 0.001,
                "batch_size": 2,
                "weight_decay": 0.0005,
                "epochs": 2,
                "snapshot_epochs": 1,
            },
            "augmentation_params": {
                "do_augment": False,
                "do_flip": True,
                "do_scale": True,
                "scale": [1.5],
                "change_brightness": True,
                "change_contrast": True,
            },
        }
        for key, value in changes.items():
            if isinstance(value, dict):
                config[key].update(value)
            else:
                config[key] = value
        self.config_path.write_text(yaml.safe_dump(config))
        return self.config_path

    def load(self, **changes):
        """Write config.yaml, load it into chainer.global_config and return the Config."""
        return load_config(self.write_config(**changes))


@pytest.fixture
def small_data(tmp_path) -> SmallData:
    """5 training, 2 validation and 2 test images of 48 x 32 pixels (width x height)."""
    return SmallData(tmp_path / "set", train=5, val=2, test=2, size=(32, 48))
