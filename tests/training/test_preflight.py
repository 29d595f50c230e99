"""What train.py says about its lists before it starts, and what it refuses to start with."""

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import COLORS

from files.errors import UserError
from files.opencv import cv2
from mini_batch_loader import DatasetPreProcessor
from training import data_summary, preflight
from training.preflight import check_datasets

TABLE = np.array(list(COLORS.values()), np.uint8)


def paint(data, name: str, classes) -> None:
    """Give an image of 48 x 32 pixels a label of these rows of the table."""
    classes = np.broadcast_to(classes, (32, 48))
    cv2.imwrite(str(data.images / f"{name}_L.png"), TABLE[classes][..., ::-1])


def paint_all(data, classes) -> None:
    for path in data.images.glob("*_L.png"):
        paint(data, path.name.removesuffix("_L.png"), classes)


def lists_of(data) -> list[DatasetPreProcessor]:
    data.load()
    settings = chainer.global_config
    lists = settings.user_train_args, settings.user_val_args
    return [DatasetPreProcessor(args) for args in lists]


def test_short_form_sums_up_what_will_be_trained_on(small_data):
    paint_all(small_data, np.arange(48) // 36)
    text = check_datasets(*lists_of(small_data))
    assert "train 5 images, val 2 images, 48 x 32 pixels for the network" in text
    assert "classes: Sky 75.0 %, Road 25.0 %" in text


def test_short_form_reads_a_bounded_number_of_pairs(small_data, monkeypatch):
    monkeypatch.setattr(preflight, "_MAX_READ", 2)
    unread = set(range(5)) - set(data_summary.spread_out(5, 2))
    (small_data.images / f"train_{min(unread)}.png").write_text("no picture")
    text = check_datasets(*lists_of(small_data))
    assert "(counted in 4 of the labels)" in text


def test_short_form_takes_bounded_time_but_reads_a_few_pairs(small_data, monkeypatch):
    monkeypatch.setattr(preflight, "_MAX_SECONDS", 0)
    monkeypatch.setattr(preflight, "_MIN_READ", 1)
    assert "(counted in 2 of the labels)" in check_datasets(*lists_of(small_data))


def test_short_form_stops_at_the_first_fault(small_data):
    (small_data.images / "train_1.png").write_text("no picture")
    with pytest.raises(UserError, match=r"train_1\.png: not an image"):
        check_datasets(*lists_of(small_data))


def test_short_form_notices_a_missing_file_among_those_it_does_not_read(
    small_data, monkeypatch
):
    monkeypatch.setattr(preflight, "_MAX_READ", 1)
    (small_data.images / "train_4_L.png").unlink()
    with pytest.raises(UserError, match=r"train_4_L\.png: no such label"):
        check_datasets(*lists_of(small_data))


def test_masks_of_0_and_255_stop_the_training_with_the_line_to_write(small_data):
    for path in small_data.images.glob("*_L.png"):
        cv2.imwrite(str(path), np.eye(32, 48, dtype=np.uint8) * 255)
    with pytest.raises(
        UserError, match="only 0 and 255.* write label_values: grey_lev"
    ):
        check_datasets(*lists_of(small_data))


def test_masks_of_0_and_255_train_as_grey_levels(small_data):
    (small_data.folder / "label_color").write_text("0,0,0,Back\n255,255,255,Front\n")
    for path in small_data.images.glob("*_L.png"):
        cv2.imwrite(str(path), np.tri(32, 48, dtype=np.uint8) * 255)
    small_data.load(label_values="grey_levels")
    settings = chainer.global_config
    lists = settings.user_train_args, settings.user_val_args
    text = check_datasets(*[DatasetPreProcessor(args) for args in lists])
    front = 100 * np.tri(32, 48).mean()
    assert f"classes: Back {100 - front:.1f} %, Front {front:.1f} %" in text
