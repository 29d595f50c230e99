"""How numbers become pictures."""

import numpy as np

from learning import pictures


def test_a_sheet_has_its_pictures_row_by_row_with_a_gap():
    tiles = np.stack([np.full((2, 2), n, np.uint8) for n in (1, 2, 3)])
    sheet = pictures.sheet(tiles, columns=2, gap=1)
    assert sheet.shape == (5, 5)
    assert sheet[0].tolist() == [1, 1, 255, 2, 2]
    assert sheet[4].tolist() == [3, 3, 255, 255, 255]


def test_a_normalised_photo_is_grey_where_it_is_0():
    x = np.zeros((3, 2, 2), np.float32)
    x[:, 0, 0] = 2.5
    assert pictures.normalized_photo(x, "GCN")[0, 0].tolist() == [255] * 3
    assert pictures.normalized_photo(x, "GCN")[1, 1].tolist() == [127] * 3
    assert pictures.normalized_photo(x / 5, "none")[0, 0].tolist() == [127] * 3
