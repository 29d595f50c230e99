import json
import os
import pathlib
from itertools import chain

import chainer_compat

import chainer
import numpy as np
import pytest
import yaml
from labelled_folders import (
    COUNT,
    NAMES,
    NUMBERS,
    ade20k,
    bowl,
    camvid,
    cityscapes,
    drive,
    labelme,
    lists,
    numbers,
    one_folder,
    other_ending,
    photo,
    run,
    same_numbers,
    save,
    suffix_of_its_own,
    unknown_trees,
    unknown_trees_within_splits,
    unknown_words,
    voc,
)
from matplotlib.path import Path
from PIL import Image

import train
from config import load_config
from dataset.label_reader import read_label
from dataset.label_table import read_label_table
from dataset.list_reader import read_list
from files.errors import UserError

UNKNOWN_NAMES = [
    *(suffix_of_its_own, drive),
    *(unknown_trees, unknown_trees_within_splits, unknown_words),
    *(other_ending, same_numbers),
]
TREES = [voc, cityscapes, labelme, bowl, one_folder, ade20k, camvid, *UNKNOWN_NAMES]


@pytest.fixture(params=TREES)
def tree(request, tmp_path):
    request.param(tmp_path / "data")
    return tmp_path / "data"


def read_independently(path, table) -> np.ndarray:
    """A label as class numbers, by matplotlib (LabelMe's polygon) or by Pillow."""
    if path.suffix == ".json":
        (shape,) = json.loads(path.read_text())["shapes"]
        centres = np.stack(np.meshgrid(np.arange(48), np.arange(32)), axis=2) + 0.5
        inside = Path(shape["points"]).contains_points(centres.reshape(-1, 2))
        return inside.reshape(32, 48) * table.names.index(shape["label"])
    with Image.open(path) as picture:
        is_grey = picture.mode == "L" and np.asarray(picture).max() == 255
        is_grey |= path.suffix == ".gif"
        if picture.mode == "RGB" or is_grey:
            classes = {tuple(color): n for n, color in enumerate(table.colors.tolist())}
            pixels = picture.convert("RGB")
            found = [
                classes[pixels.getpixel((x, y))] for y in range(32) for x in range(48)
            ]
            return np.reshape(found, (32, 48))
        return np.asarray(picture)


def test_labels_read_are_those_of_their_photos(tree):
    config = load_config(run(tree))

    table = chainer.global_config.user_train_args.label_table
    for what in NAMES:
        found = read_list(tree.parent / f"my_lists/{what}.txt")
        for image, name in zip(found.images, found.labels, strict=True):
            path = os.path.join(config.image_dir_path, name)
            label = read_label(path, table, (32, 48))
            np.testing.assert_array_equal(
                label, read_independently(pathlib.Path(path), table)
            )
            # The photo shows where its label is 1; that of another image is 4 columns off.
            with Image.open(os.path.join(config.image_dir_path, image)) as picture:
                red = np.asarray(picture.convert("RGB"))[..., 0]
            shown = red > (int(red.min()) + int(red.max())) / 2
            assert (shown == label).mean() > 0.95


def test_every_pair_is_in_exactly_one_list(tree):
    run(tree)
    found = lists(tree.parent / "my_lists")
    assert all(found.values())
    names = list(chain(*found.values()))
    assert len(set(names)) == COUNT == len(names)


def test_image_sets_of_voc_say_what_to_train_on(tmp_path):
    voc(tmp_path / "data")
    run(tmp_path / "data")
    found = lists(tmp_path / "my_lists")["train"]
    assert found == [f"JPEGImages/{n}.jpg" for n in range(4)]


def test_each_image_is_scored_in_one_fold(tmp_path):
    bowl(tmp_path / "data")
    run(tmp_path / "data", "--folds", "3")
    folds = [lists(tmp_path / f"my_lists/fold{n}") for n in (1, 2, 3)]
    scored = list(chain(*(fold["test"] for fold in folds)))
    assert sorted(scored) == [f"images/{n}.png" for n in range(COUNT)]
    for fold in folds:
        assert len(set(chain(*fold.values()))) == COUNT


def test_a_group_is_on_one_side(tmp_path):
    bowl(tmp_path / "data")
    groups = tmp_path / "groups"
    groups.write_text("".join(f"images/{n}.png\t{n % 3}\n" for n in range(COUNT)))
    run(tmp_path / "data", "--groups", str(groups))
    for names in lists(tmp_path / "my_lists").values():
        assert len({int(name[7]) % 3 for name in names}) == 1


def test_shuffle_depends_on_the_seed_alone(tmp_path):
    bowl(tmp_path / "data")
    found = []
    for seed in ("1", "1", "2"):
        run(tmp_path / "data", "--shuffle", "--seed", seed, "--overwrite")
        found.append(lists(tmp_path / "my_lists"))
    assert found[0] == found[1] != found[2]


def test_names_are_those_of_the_table(tmp_path):
    bowl(tmp_path / "data")
    run(tmp_path / "data", "--names", "air, cell")
    table = read_label_table(tmp_path / "my_lists/label_color")
    assert table.names == ("air", "cell")


def test_photo_without_a_label_is_said(tmp_path, capsys):
    bowl(tmp_path / "data")
    save(tmp_path / "data/images/alone.png", NUMBERS)
    run(tmp_path / "data")
    output = capsys.readouterr().out
    assert "left out: 1 photo without a label (images/alone.png)" in output


def test_label_in_which_no_pixel_counts_is_left_out(tmp_path, capsys):
    """Cityscapes' labels of its test photos hold nothing but 255."""
    cityscapes(tmp_path / "data")
    for n in range(COUNT):
        place = f"test/city/{n}"
        photo(tmp_path / f"data/leftImg8bit/{place}_leftImg8bit.png", n)
        label = tmp_path / f"data/gtFine/{place}_gtFine_labelTrainIds.png"
        save(label, NUMBERS * 0 + 255)
    run(tmp_path / "data")
    output = capsys.readouterr().out
    assert "6 labels in which no pixel counts (gtFine/test/city/0_gtFine_" in output
    assert "lists: train 3, val 1, test 2 (as the folder is divided)" in output


@pytest.mark.parametrize(("border", "is_said"), [(False, True), (True, False)])
def test_masks_of_1_among_those_of_255_are_said(tmp_path, capsys, border, is_said):
    bowl(tmp_path / "data")
    for n in (0, 1):
        mask = numbers(n)
        if border:  # 255 as what does not count beside 1
            mask[:2] = 255
        save(tmp_path / f"data/masks/{n}.png", mask)
    run(tmp_path / "data")
    remark = (
        "6 read; 255, which masks/2.png holds, does not count: if it is the foreground there, "
        "as 1 is in masks/0.png, save the labels alike\n"
    )
    assert (remark in capsys.readouterr().out) == is_said


def test_mask_that_is_white_all_over_counts(tmp_path, capsys):
    bowl(tmp_path / "data")
    save(tmp_path / "data/masks/0.png", NUMBERS * 0 + 255)
    run(tmp_path / "data")
    assert "left out: nothing" in capsys.readouterr().out


def test_same_number_makes_no_pair_where_words_made_others(tmp_path, capsys):
    bowl(tmp_path / "data")
    photo(tmp_path / "data/images/new_77.png", 0)
    save(tmp_path / "data/docs/figure_77.png", NUMBERS)
    run(tmp_path / "data")
    assert "left out: 2 photos without a label" in capsys.readouterr().out


def test_pair_that_no_set_of_voc_names_is_said(tmp_path, capsys):
    voc(tmp_path / "data")
    (tmp_path / "data/ImageSets/Segmentation/train.txt").write_text("0\n1\n")
    run(tmp_path / "data")
    output = capsys.readouterr().out
    assert "2 pairs in none of the data set's lists (JPEGImages/2.jpg, " in output


def test_files_that_are_no_data_are_passed_over(tmp_path, capsys):
    bowl(tmp_path / "data")
    for folder in ("result/my", "model_only", ".hidden", "__MACOSX", "deep/result"):
        save(tmp_path / f"data/{folder}/0_mask.png", NUMBERS)
    (tmp_path / "data/result/my/report.html").touch()
    (tmp_path / "data/deep/result/snapshot_epoch_1").touch()
    (tmp_path / "data/model_only/model").mkdir()
    (tmp_path / "data/model_only/model/fcn_final.npz").touch()
    (tmp_path / "data/images/Thumbs.db").touch()
    (tmp_path / "data/dataset.json").write_text('{"name": "cells"}')
    run(tmp_path / "data")
    assert "left out: nothing" in capsys.readouterr().out


def test_summary_and_settings_of_photos_of_two_sizes(tmp_path, capsys):
    """Nuclei: grey, 256 x 256 and 520 x 696, masks of 0 and 255."""
    for n in range(10):
        size = (520, 696) if n < 3 else (256, 256)
        image, mask = np.full(size, n, np.uint8), np.zeros(size, np.uint8)
        mask[:9] = 255
        save(tmp_path / f"data/images/{n}.png", image)
        save(tmp_path / f"data/masks/{n}.png", mask)
    output = run(tmp_path / "data")

    # 65,536 pixels to 60,000: the square root of the ratio is 0.957. Of 10 images, 7 train.
    lines = capsys.readouterr().out.splitlines()
    assert lines[:8] == [
        "pairs: 10, for instance images/0.png and masks/0.png",
        "left out: nothing",
        "labels: numbers, 10 read",
        "classes: 2: background, foreground",
        "lists: train 7, val 2, test 1 (blocks by name)",
        "sizes: 256 x 256, 696 x 520 pixels, scaled by 0.96 for the network",
        "channels: 1; normalizer GCN",
        "training: 200 epochs in batches of 5",
    ]
    settings = yaml.safe_load(output.read_text())
    assert settings["in_ch"] == 1
    assert settings["label_values"] == "grey_levels"
    assert settings["image_scale"] == 0.96
    assert settings["crop_size"] == [240, 240]  # 245 down to a multiple of 16
    assert settings["training_params"]["snapshot_epochs"] == 40


def test_quick_reads_20_pairs(tmp_path, capsys):
    for n in range(41):
        save(tmp_path / f"data/images/{n:02}.png", numbers(0) * 9)
        save(tmp_path / f"data/masks/{n:02}.png", numbers(0))
    (tmp_path / "data/masks/01.png").write_bytes(b"broken")  # every second one is read
    run(tmp_path / "data", "--quick")
    assert "labels: numbers, 20 read" in capsys.readouterr().out


def test_nothing_is_overwritten_unasked(tmp_path):
    bowl(tmp_path / "data")
    output = tmp_path / "my.yaml"
    output.write_text("mine")
    with pytest.raises(UserError, match="exists already; give --overwrite"):
        run(tmp_path / "data")
    assert output.read_text() == "mine"
    assert not (tmp_path / "my_lists").exists()


def spoil(tmp_path, what):
    data = tmp_path / "data"
    if what == "size":
        save(data / "masks/0.png", NUMBERS[:16])
    elif what == "kind":
        save(data / "masks/5.png", np.zeros((32, 48, 3), np.uint8))
    elif what == "json":
        (data / "masks/0.png").unlink()
        (data / "masks/0.json").write_text('{"shapes": 3}')
    elif what == "label alone":
        save(data / "masks/other.png", NUMBERS)
    elif what == "shapes alone":
        (data / "images/other.json").write_text('{"shapes": []}')
    elif what == "two photos":
        photo(data / "images/3.jpg", 3)
    elif what == "no pair":
        for n in range(COUNT):
            (data / f"masks/{n}.png").unlink()
    elif what == "one class":
        for n in range(COUNT):
            save(data / f"masks/{n}.png", NUMBERS * 0)


def test_label_alone_among_labels_of_unknown_names(tmp_path):
    unknown_trees(tmp_path / "data")
    save(tmp_path / "data/A/9.png", NUMBERS)
    with pytest.raises(UserError, match=r"1 label without a photo .*A/9\.png"):
        run(tmp_path / "data")


@pytest.mark.parametrize(
    ("what", "options", "sentence"),
    [
        ("size", [], "0.png: the label is 48 x 16 pixels, its image 48 x 32"),
        ("kind", [], "5.png: a label of colours, but .*0.png is one of numbers"),
        ("json", [], "0.json: not a file of LabelMe"),
        ("one class", [], "one class only"),
        ("label alone", [], r"1 label without a photo \(for instance masks/other.png"),
        ("shapes alone", [], r"1 label without a photo \(for instance images/other"),
        (
            "two photos",
            [],
            "masks/3.png fits two photos, images/3.jpg and images/3.png",
        ),
        (
            "no pair",
            [],
            "no photo with a label among 6 photos and 0 labels .*images/0.png",
        ),
        ("", ["--folds", "7"], "6 images or groups are fewer than 7 folds"),
        ("", ["--names", "a"], "--names: 1 names for 2 classes"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_written(
    tmp_path, what, options, sentence
):
    bowl(tmp_path / "data")
    spoil(tmp_path, what)
    with pytest.raises(UserError, match=sentence):
        run(tmp_path / "data", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_polygon_of_two_points_is_a_sentence(tmp_path):
    labelme(tmp_path / "data")
    path = tmp_path / "data/3.json"
    content = json.loads(path.read_text())
    content["shapes"][0]["points"] = [[1, 1], [2, 2]]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"3.json: shape 1 \('car'\): a polygon of 2"):
        run(tmp_path / "data")


def test_group_file_that_misses_an_image(tmp_path):
    bowl(tmp_path / "data")
    (tmp_path / "groups").write_text("images/0.png\ta\n")
    with pytest.raises(UserError, match="images/1.png is missing; add a line"):
        run(tmp_path / "data", "--groups", str(tmp_path / "groups"))


def test_train_goes_on_from_what_was_written(tmp_path):
    bowl(tmp_path / "data")
    config = run(tmp_path / "data")
    options = ["--set", "training_params.epochs=1"]
    assert train.main(["--config", str(config), *options]) == 0
    assert (tmp_path / "result/my/model/fcn_final.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("make", [voc, cityscapes, labelme, bowl, unknown_trees])
def test_training_as_prepared_beats_the_majority_class(tmp_path, make, capsys):
    make(tmp_path / "data")
    config = run(tmp_path / "data")
    options = ["--set", "training_params.epochs=40"]
    assert train.main(["--config", str(config), *options]) == 0

    log = json.loads((tmp_path / "result/my/log").read_text())
    accuracy = log[-1]["validation/main/accuracy"]
    table = read_label_table(tmp_path / "my_lists/label_color")
    names = read_list(tmp_path / "my_lists/val.txt").labels
    labels = [read_independently(tmp_path / "data" / name, table) for name in names]
    majority = np.bincount(np.ravel(labels)).max() / np.size(labels)
    with capsys.disabled():
        print(f"\n{make.__name__}: {accuracy:.3f}, the majority class {majority:.3f}")
    assert accuracy > majority + 0.1
