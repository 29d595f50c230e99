"""CamVid as camvid.yaml reads it, where it lies beside the project."""

from pathlib import Path

import chainer_compat

import chainer
import numpy as np
import pytest

from config import load_config
from mini_batch_loader import DatasetPreProcessor

ROOT = Path(__file__).parent.parent.parent
CAMVID = ROOT.parent / "shared" / "camvid"
pytestmark = pytest.mark.skipif(
    not CAMVID.is_dir(), reason="CamVid (research use only) is not beside the project"
)


def test_labels_are_read_as_they_are_and_11_does_not_count():
    load_config(ROOT / "camvid.yaml", [f"image_dir_path={CAMVID}"])
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    image, label = dataset.full_pair(0)
    assert image.shape == (360, 480, 3)
    assert label.min() == -1 and label.max() <= 10
    image, label = dataset.scaled_pair(0)
    assert label.shape == (180, 240)
    assert len(np.unique(label[label >= 0])) > 5
