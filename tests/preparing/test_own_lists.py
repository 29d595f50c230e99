"""Which division of the images prepare.py takes: that of the data set's lists, or of its folders."""

import pytest
from labelled_folders import COUNT, bowl, lists, run, voc

import prepare
from preparing.own_lists import read_own_lists
from preparing.splits import split_as_given

IMAGES = ["JPEGImages/a 1.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg"]


def write(folder, **texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)


@pytest.mark.parametrize(
    "line",
    [
        *("{}", "JPEGImages/{}.jpg", "./JPEGImages/{}.jpg", "{}.jpg"),
        *("JPEGImages/{}.jpg\tAnnotations/{}.png", "/home/me/set/JPEGImages/{}.jpg"),
    ],
)
def test_line_names_an_image_in_many_ways(tmp_path, line):
    write(tmp_path, train=line.format("a 1", "a 1") + "\n", val=line.format("b", "b"))
    sets, place = read_own_lists(str(tmp_path), IMAGES)
    assert sets == {IMAGES[0]: "train", IMAGES[1]: "val"}
    assert place == "the data set"


def test_label_may_stand_behind_a_blank(tmp_path):
    """PaddleSeg's lists, and SegNet's."""
    write(tmp_path, test_list="JPEGImages/c.jpg Labels/c.png\n", train_list="b 1 1\n")
    sets, _ = read_own_lists(str(tmp_path), IMAGES)
    assert sets == {IMAGES[1]: "train", IMAGES[2]: "test"}


def test_more_exact_list_counts(tmp_path):
    write(tmp_path, train="a 1\n", trainval="a 1\nb\n", val="b\n", test="c\n")
    sets, _ = read_own_lists(str(tmp_path), IMAGES)
    assert [sets[image] for image in IMAGES] == ["train", "val", "test"]


def test_same_name_in_two_folders_is_told_by_the_folder(tmp_path):
    write(tmp_path, train="/set/train/0.png\n", val="/set/val/0.png\n")
    sets, _ = read_own_lists(str(tmp_path), ["train/0.png", "val/0.png"])
    assert sets == {"train/0.png": "train", "val/0.png": "val"}


def test_lists_that_name_other_images_do_not_count(tmp_path):
    write(tmp_path, train="x\n", val="y\n")
    write(tmp_path / "only_train", train="b\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/train.txt").write_bytes(b"\xff\xfe\x00")
    assert read_own_lists(str(tmp_path), IMAGES) == ({}, "")


def test_lists_of_voc_may_lie_below_the_folder(tmp_path, capsys):
    voc(tmp_path / "data/VOCdevkit/VOC2012")
    main = tmp_path / "data/VOCdevkit/VOC2012/ImageSets/Main"  # for boxes
    write(main, train="5\n", val="0\n1\n2\n3\n4\n")
    run(tmp_path / "data")
    found = lists(tmp_path / "my_lists")["train"]
    assert found == [f"VOCdevkit/VOC2012/JPEGImages/{n}.jpg" for n in range(4)]
    output = capsys.readouterr().out
    assert "by the lists in VOCdevkit/VOC2012/ImageSets/Segmentation)" in output


def test_lists_that_were_prepared_are_not_those_of_the_data_set(tmp_path, capsys):
    """The configuration may be written into the folder of the data set."""
    bowl(tmp_path)
    found = []
    for options in (["--folds", "3"], ["--shuffle"], []):
        output = str(tmp_path / "my.yaml")
        prepare.main([str(tmp_path), "--output", output, "--overwrite", *options])
        found.append(lists(tmp_path / "my_lists"))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    "folders",
    [
        ("ISIC_Task1-2_Training_Input", "ISIC_Task1-2_Validation_Input", "a_Test_b"),
        ("uavid_train/seq1/Images", "uavid_val/seq2/Images", "uavid_test/seq3/Images"),
        ("imagesTr", "val", "imagesTs"),
        ("images/train2017", "images/val2017", "DUTS-TE/DUTS-TE-Image"),
        # The outer folder says less.
        ("TrainVal_images/train_images", "TrainVal_images/val_images", "test_images"),
        # A whole word says more than one of several.
        ("train/my-test-drive", "val/my-test-drive", "test/my-test-drive"),
    ],
)
def test_folders_say_what_their_images_are_for(tmp_path, folders):
    pairs = [(f"{folder}/{n}.png", "") for n, folder in enumerate(folders)]
    found, how = split_as_given(str(tmp_path), pairs)
    assert list(found.values()) == [[pair] for pair in pairs]
    assert how == "as the folder is divided"


def test_words_that_divide_nothing_are_no_division(tmp_path):
    pairs = [(f"train_station/{n}.png", "") for n in range(COUNT)]
    assert split_as_given(str(tmp_path), pairs) is None
