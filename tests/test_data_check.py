"""What data_check.py says about data that are right, and about data that are not."""

import chainer_compat

import chainer
import numpy as np
from conftest import COLORS, write_picture

import data_check
from config import load_config
from files.opencv import cv2
from mini_batch_loader import DatasetPreProcessor

TABLE = np.array(list(COLORS.values()), np.uint8)


def run(data) -> int:
    return data_check.main(["--config", str(data.config_path)])


def paint(data, name: str, classes) -> None:
    """Give an image of 48 x 32 pixels a label of these rows of the table."""
    classes = np.broadcast_to(classes, (32, 48))
    cv2.imwrite(str(data.images / f"{name}_L.png"), TABLE[classes][..., ::-1])


def paint_all(data, classes) -> None:
    for path in data.images.glob("*_L.png"):
        paint(data, path.name.removesuffix("_L.png"), classes)


def test_data_without_fault_pass(small_data, capsys):
    assert run(small_data) == 0
    output = capsys.readouterr()
    assert "0 errors, 0 warnings" in output.out
    assert output.err == ""


def test_table_has_shares_of_pixels_and_numbers_of_images(small_data, capsys):
    paint_all(small_data, np.arange(48) // 24)
    paint(small_data, "val_0", 0)
    run(small_data)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    # Half of each picture is sky; of the two of the validation, one is nothing but sky.
    assert ["Sky", "50.00", "%", "5", "75.00", "%", "2", "50.00", "%", "2"] in lines
    assert ["Road", "50.00", "%", "5", "25.00", "%", "1", "50.00", "%", "2"] in lines


def test_samples_are_drawn_with_their_classes(small_data):
    run(small_data)
    sheet = cv2.imread(str(small_data.folder / "result" / "data_check.png"))[..., ::-1]
    for color in TABLE:
        assert (sheet == color).all(axis=2).sum() > 1000


def test_all_unreadable_files_are_named(small_data, capsys):
    (small_data.images / "train_0.png").write_text("no picture")
    (small_data.images / "train_3_L.png").unlink()
    (small_data.images / "test_1.png").unlink()
    assert run(small_data) == 2
    errors = capsys.readouterr().err
    assert "train_0.png: not an image" in errors
    assert "train_3_L.png: no such label" in errors
    assert "test_1.png: no such image" in errors


def test_unknown_colours_are_counted_over_the_list(small_data, capsys):
    for name, pixels in (("train_0", 3), ("train_1", 4)):
        path = str(small_data.images / f"{name}_L.png")
        label = cv2.imread(path)
        label[0, :pixels] = (3, 2, 1)  # B, G, R
        cv2.imwrite(path, label)
    assert run(small_data) == 2
    errors = capsys.readouterr().err
    assert "train_0_L.png: the colour 1,2,3 of 3 pixels" in errors
    assert "train list: colours of no class: 1,2,3 (7 pixels)" in errors


def test_a_missing_list_does_not_hide_what_is_wrong_with_the_others(small_data, capsys):
    (small_data.folder / "val_pointer").unlink()
    (small_data.images / "test_0.png").unlink()
    assert run(small_data) == 2
    errors = capsys.readouterr().err
    assert "val_image_pointer: cannot read" in errors
    assert "test_0.png: no such image" in errors


def test_a_class_that_is_never_trained_is_a_warning(small_data, capsys):
    paint_all(small_data, np.arange(48) // 24)
    paint(small_data, "test_0", 2)
    assert run(small_data) == 0
    assert "the test list has pixels of Car" in capsys.readouterr().out


def test_a_class_in_no_label_is_a_warning(small_data, capsys):
    paint_all(small_data, np.arange(48) // 24)
    assert run(small_data) == 0
    assert "in the label table but in no label: Car" in capsys.readouterr().out


def test_one_class_nearly_everywhere_is_a_warning(small_data, capsys):
    paint_all(small_data, 1)
    paint(small_data, "train_0", np.arange(48) // 24)
    run(small_data)
    output = capsys.readouterr().out
    assert "100.0% of the pixels of the val list are Road" in output
    assert "of the train list are" not in output  # 90 % are


def test_an_unusual_size_is_a_warning_in_the_test_list(small_data, capsys):
    small_data.write_pair("test_0.png", np.zeros((64, 80, 3), np.uint8))
    assert run(small_data) == 0
    expected = "8 images are 48 x 32 pixels, but not test_0.png (80 x 64)"
    assert expected in capsys.readouterr().out


def test_mixed_sizes_in_the_training_list_are_an_error(small_data, capsys):
    small_data.write_pair("train_4.png", np.zeros((64, 80, 3), np.uint8))
    assert run(small_data) == 2
    assert "images of different sizes cannot share a batch" in capsys.readouterr().err


def test_a_file_in_two_lists_is_a_warning(small_data, capsys):
    (small_data.folder / "test_pointer").write_text(
        "train_1.png\ntest_0.png\ntest_0.png"
    )
    assert run(small_data) == 0
    output = capsys.readouterr().out
    assert "both in the train and in the test list: train_1.png" in output
    assert "more than once in the test list: test_0.png" in output


def test_too_small_an_image_is_an_error(small_data, capsys):
    small_data.write_config(image_scale=0.25)
    assert run(small_data) == 2
    assert "smaller than user_multiple" in capsys.readouterr().err


def test_the_same_complaint_about_many_files_is_one_line_with_three_examples(
    small_data, capsys
):
    for i in range(5):
        write_picture(
            small_data.images / f"train_{i}_L.png", np.full((32, 48), i + 3, np.uint8)
        )
    assert run(small_data) == 2
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if "class number" in line]
    assert len(lines) == 1
    assert "train_0_L.png: class number 3 of 1536 pixels" in lines[0]
    examples = "train_0_L.png, train_1_L.png, train_2_L.png and 2 more)"
    assert lines[0].endswith(f"(the same in 5 files: {examples}")


def test_masks_of_0_and_255_are_recognised(small_data, capsys):
    for path in small_data.images.glob("*_L.png"):
        write_picture(path, np.eye(32, 48, dtype=np.uint8) * 255)
    assert run(small_data) == 2
    assert "hold only 0 and 255" in capsys.readouterr().err


def test_16_bit_photos_that_fill_12_bits_are_named_once(small_data, capsys):
    levels = np.linspace(0, 4095, 32 * 48).reshape(32, 48).astype(np.uint16)
    for i in (1, 3):
        write_picture(small_data.images / f"train_{i}.png", levels)
    assert run(small_data) == 0
    output = capsys.readouterr().out
    assert output.count("fill only 12, up to 4,095") == 1
    assert "train_1.png, train_3.png" in output


def test_large_samples_are_drawn_from_a_part_of_their_pixels(small_data):
    """Six whole samples of 5,792 x 5,792 pixels would take gigabytes at once."""
    image = np.zeros((64, 4000, 3), np.uint8)
    image[:, ::2] = 200  # every second column of both samples is drawn
    cv2.imwrite(str(small_data.images / "train_0.png"), image)
    cv2.imwrite(str(small_data.images / "train_0_L.png"), image[..., 0] // 200)
    load_config(small_data.config_path, ["image_scale=1.0"])
    args = chainer.global_config.user_train_args
    summary = data_check.survey_all("train", DatasetPreProcessor(args))
    path = str(small_data.folder / "samples.png")
    large = data_check.draw_samples([summary], path, args.label_table)[0]
    assert large.title == "train: train_0.png"
    assert all(picture.shape == (32, 2000, 3) for picture in large.pictures)
    assert (large.pictures[0] == 200).all()
