"""What train.py says about its lists before it starts, and what it refuses to start with."""

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import COLORS

from files.errors import UserError
from files.opencv import cv2
from mini_batch_loader import DatasetPreProcessor
from training import data_summary, memory_estimate, preflight
from training.preflight import check_datasets

TABLE = np.array(list(COLORS.values()), np.uint8)


def paint(data, name: str, classes) -> None:
    """Give an image of 48 x 32 pixels a label of these rows of the table."""
    classes = np.broadcast_to(classes, (32, 48))
    cv2.imwrite(str(data.images / f"{name}_L.png"), TABLE[classes][..., ::-1])


def paint_all(data, classes) -> None:
    for path in data.images.glob("*_L.png"):
        paint(data, path.name.removesuffix("_L.png"), classes)


def lists_of(data, **changes) -> list[DatasetPreProcessor]:
    data.load(**changes)
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


def complaint_of(data, **changes) -> str:
    with pytest.raises(UserError) as caught:
        check_datasets(*lists_of(data, **changes))
    return str(caught.value)


def test_labels_of_one_class_only_are_refused(small_data):
    paint_all(small_data, 1)
    assert "all pixels that count in its labels are Road; there is nothing to tell" in (
        complaint_of(small_data)
    )
    paint(small_data, "train_0", np.arange(48) // 36)  # validation may have one only
    assert "classes: Road" in check_datasets(*lists_of(small_data))


def test_short_form_tells_each_fault_once_with_three_examples(small_data):
    (small_data.images / "train_1.png").write_text("no picture")
    for i in (0, 2, 3, 4):
        label = np.full((32, 48), i + 3, np.uint8)
        cv2.imwrite(str(small_data.images / f"train_{i}_L.png"), label)
    first, second = complaint_of(small_data).split("\n")
    assert "train_0_L.png: class number 3 of 1536 pixels" in first
    examples = "train_0_L.png, train_2_L.png, train_3_L.png and 1 more)"
    assert first.endswith(f"(the same in 4 files: {examples}")
    assert "train_1.png: not an image" in second


def test_missing_labels_are_one_line(small_data):
    for i in range(5):
        (small_data.images / f"train_{i}_L.png").unlink()
    message = complaint_of(small_data)
    assert message.count("no such label") == 1
    assert "(the same in 5 files: train_0_L.png, train_1_L.png, " in message


def test_of_many_kinds_of_faults_the_first_five_are_told(small_data, monkeypatch):
    monkeypatch.setattr(preflight, "_MOST_COMPLAINTS", 1)
    (small_data.images / "train_1.png").write_text("no picture")
    for i, size in ((3, (32, 48)), (4, (9, 9))):
        label = np.full(size, 3, np.uint8)
        cv2.imwrite(str(small_data.images / f"train_{i}_L.png"), label)
    lines = complaint_of(small_data).split("\n")
    assert "train_1.png" in lines[0]
    assert lines[1:] == ["       and 2 more kinds of faults; data_check.py lists all"]


def test_images_of_different_sizes_are_refused_with_the_line_to_add(small_data):
    small_data.write_pair("train_3.png", np.zeros((70, 80, 3), np.uint8))
    assert complaint_of(small_data).endswith(
        "train_0.png gives 48 x 32 pixels, train_3.png 80 x 64; to train on windows of one "
        "size, add this line to the configuration: crop_size: [32, 48]"
    )


def test_windows_make_images_of_any_size_a_batch(small_data):
    small_data.write_pair("train_3.png", np.zeros((70, 80, 3), np.uint8))
    small_data.write_pair("train_4.png", np.zeros((9, 12, 3), np.uint8))
    text = check_datasets(*lists_of(small_data, crop_size=[32, 32]))
    assert "train 5 images, val 2 images, windows of 32 x 32 pixels to train on" in text
    assert "warning" not in text


def test_window_larger_than_every_image_is_said_once(small_data):
    text = check_datasets(*lists_of(small_data, crop_size=[48, 48]))
    sentence = "no image to train on fills a window of 48 x 48 pixels"
    assert text.count(sentence) == 1
    assert "at most 48 x 32" in text


def test_memory_is_that_of_the_windows(small_data, monkeypatch):
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 2**30)
    small_data.write_pair("train_3.png", np.zeros((320, 320, 3), np.uint8))
    check_datasets(*lists_of(small_data, crop_size=[32, 32]))
    big = {"crop_size": [2048, 2048]}
    assert "with 2 images of 2048 x 2048 pixels" in complaint_of(small_data, **big)


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
