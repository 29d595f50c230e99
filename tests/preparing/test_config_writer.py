from collections import Counter

import pytest
import yaml

from files.errors import UserError
from preparing.config_writer import (
    config_text,
    crop_size,
    epochs_for,
    image_scale,
    write_files,
)


@pytest.mark.parametrize(
    ("sizes", "scale"),
    [
        ({(400, 600): 3}, 0.5),  # 240,000 pixels: a quarter
        ({(200, 300): 1}, 1.0),  # 60,000
        ({(20, 30): 1}, 1.0),  # never enlarged
        ({(400, 600): 2, (4000, 6000): 1}, 0.5),  # the median counts
        ({(20, 30000): 1}, 0.8),  # 16 rows remain, though 18,974 columns are wide
    ],
)
def test_scaled_photo_has_60_thousand_pixels(sizes, scale):
    assert image_scale(Counter(sizes)) == scale


def test_window_is_the_median_image_down_to_a_multiple_of_16():
    sizes = Counter({(400, 600): 2, (200, 300): 1})
    assert crop_size(sizes, 0.5) == [192, 288]  # of 200 x 300


def test_images_of_one_size_need_no_window():
    assert crop_size(Counter({(400, 600): 3}), 0.5) is None


@pytest.mark.parametrize(("images", "epochs"), [(80, 75), (10, 200), (1000, 20)])
def test_six_thousand_images_are_seen_in_20_to_200_epochs(images, epochs):
    assert epochs_for(images) == epochs


def test_nothing_is_written_where_a_file_would_take_the_place_of_a_folder(tmp_path):
    (tmp_path / "data").mkdir()
    texts = {str(tmp_path / "lists/train.txt"): "", str(tmp_path / "data"): ""}
    with pytest.raises(UserError, match="data: is a folder; give --output"):
        write_files(texts, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_configuration_is_yaml_with_its_reasons():
    settings = {"in_ch": 3, "names": ["a: b"], "part": {"epochs": 4}}
    text = config_text(settings, {"part.epochs": "few"}, "first\nsecond")
    assert yaml.safe_load(text) == settings
    assert text.startswith("# first\n# second\n")
    assert "  epochs: 4  # few\n" in text
