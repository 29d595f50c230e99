"""Real street scenes, where they lie beside the project."""

from pathlib import Path

import numpy as np
import pytest

from dataset.image_reader import read_image
from dataset.label_reader import read_label
from dataset.label_table import read_label_table

CAMSEQ01 = Path(__file__).parent.parent.parent.parent / "shared" / "camseq01"
pytestmark = pytest.mark.skipif(
    not CAMSEQ01.is_dir(),
    reason="CamSeq01 (research use only) is not beside the project",
)


def test_label_from_colours_is_the_label_that_the_book_stored():
    table = read_label_table(CAMSEQ01 / "label_color")
    image = read_image(str(CAMSEQ01 / "CamSeq01/0016E5_07959.png"), 3)
    from_colours, stored = (
        read_label(
            str(CAMSEQ01 / f"CamSeq01/0016E5_07959_L.{ending}"), table, image.shape[:2]
        )
        for ending in ("png", "npz")
    )
    assert image.shape == (720, 960, 3)
    np.testing.assert_array_equal(from_colours, stored)
