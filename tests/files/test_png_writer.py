"""What is written as PNG reads back exactly."""

import numpy as np

from files.opencv import cv2
from files.png_writer import write_png


def test_pictures_read_back_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    for number, picture in enumerate(
        [
            rng.integers(0, 256, (5, 7, 3), np.uint8),
            rng.integers(0, 256, (5, 7), np.uint8),
            rng.integers(0, 65536, (5, 7), np.uint16),
        ]
    ):
        path = str(tmp_path / f"{number}.png")
        write_png(path, picture)
        back = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        back = back[..., ::-1] if picture.ndim == 3 else back
        assert back.dtype == picture.dtype
        assert np.array_equal(back, picture)
