"""Which label prepare.py takes for a photo, where names and folders are those of public data sets."""

import chainer_compat

import chainer
import numpy as np
import pytest
from labelled_folders import (
    COUNT,
    lists,
    mask_of_each_object,
    numbers,
    photo,
    run,
    save,
    suffix_of_its_own,
)
from PIL import Image

from config import load_config
from dataset.label_reader import read_label
from dataset.list_reader import read_list
from files.errors import UserError


def test_folder_of_masks_is_the_label_of_the_photo_beside_it(tmp_path):
    mask_of_each_object(tmp_path / "data")
    config = load_config(run(tmp_path / "data"))
    table = chainer.global_config.user_train_args.label_table
    found = read_list(tmp_path / "my_lists/train.txt")
    assert found.labels[0] == "0a/masks"
    for n in range(len(found.images)):
        path = found.image_path(config.image_dir_path, n)
        with Image.open(path) as picture:
            expected = np.asarray(picture) > 100
        label = read_label(
            found.label_path(config.image_dir_path, n), table, expected.shape
        )
        np.testing.assert_array_equal(label, expected)


def halves(root, *names):
    """Two masks for each photo, named like it: what is white on the left, and on the right."""
    for n in range(COUNT):
        photo(root / f"images/cell {n}.png", n)
        for name, columns in zip(names, (slice(24), slice(24, 48)), strict=True):
            mask = np.zeros((32, 48), np.uint8)
            mask[:, columns] = numbers(n)[:, columns] * 255
            save(root / "masks" / name.format(n), mask)


def test_folder_of_masks_may_have_the_name_of_the_photo(tmp_path):
    data = tmp_path / "data"
    halves(data, "cell {}/0.png", "cell {}/1.png")
    load_config(run(data))
    table = chainer.global_config.user_train_args.label_table
    found = read_list(tmp_path / "my_lists/train.txt")
    assert found.images[3] == "images/cell 3.png"
    label = read_label(found.label_path(str(data), 3), table, (32, 48))
    np.testing.assert_array_equal(label, numbers(3))


def test_masks_of_objects_in_one_folder_are_not_taken_for_a_label(tmp_path):
    halves(tmp_path / "data", "cell {}_0.png", "cell {}_1.png")
    sentence = (
        "several labels, masks/cell 0_0.png and masks/cell 0_1.png; .*masks/cell 0/"
    )
    with pytest.raises(UserError, match=sentence):
        run(tmp_path / "data")
    run(tmp_path / "data", "--labels", "_1.png")
    assert read_list(tmp_path / "my_lists/val.txt").labels == ["masks/cell 4_1.png"]


def test_words_say_which_of_numbered_labels_counts(tmp_path):
    halves(tmp_path / "data", "cell {}_manual1.png", "cell {}_manual2.png")
    run(tmp_path / "data")
    labels = read_list(tmp_path / "my_lists/val.txt").labels
    assert labels == ["masks/cell 4_manual1.png"]


def test_jpeg_masks_are_read_as_they_were_before_jpeg_changed_them(tmp_path, capsys):
    """Kvasir-SEG. 8-pixel blocks that hold an edge are changed most."""
    data = tmp_path / "data"
    for n in range(COUNT):
        photo(data / f"images/{n}.jpg", n)
        save(data / f"masks/{n}.jpg", np.repeat(numbers(n)[..., None] * 255, 3, 2))
    load_config(run(data))
    assert "smoothed, or saved as JPEG" in capsys.readouterr().out
    table = chainer.global_config.user_train_args.label_table
    assert table.names == ("background", "foreground")
    for n in range(COUNT):
        label = read_label(str(data / f"masks/{n}.jpg"), table, (32, 48))
        assert (label == numbers(n)).mean() > 0.99


def test_labels_may_be_chosen_where_there_are_several(tmp_path, capsys):
    suffix_of_its_own(tmp_path / "data")
    run(tmp_path / "data", "--names", "a,b")
    assert "6 pictures that --photos or --labels may name (shot_0_2ndHO.png" in (
        capsys.readouterr().out
    )
    with pytest.raises(UserError, match="one class only"):
        run(tmp_path / "data", "--labels", "2ndHO", "--overwrite")


def test_photos_may_be_chosen_where_there_are_several(tmp_path):
    """Photos in colour and in infrared: both look like photos, neither is nearer by its name."""
    for n in range(COUNT):
        photo(tmp_path / f"data/sky/{n}.png", n)
        photo(tmp_path / f"data/box/{n}.png", n)
        save(tmp_path / f"data/gt/{n}.png", numbers(n))
    with pytest.raises(UserError, match="say by --photos and --labels"):
        run(tmp_path / "data")
    run(tmp_path / "data", "--photos", "sky/")
    assert lists(tmp_path / "my_lists")["train"][0] == "sky/0.png"


def test_infrared_pictures_are_no_labels(tmp_path):
    """256 levels are far fewer than the colours of a photo, but far more than classes."""
    rng = np.random.default_rng(0)
    for n in range(COUNT):
        photo(tmp_path / f"data/a/{n}.png", n)
        save(tmp_path / f"data/b/{n}.png", rng.integers(0, 256, (32, 48), np.uint8))
    with pytest.raises(UserError, match="no photo with a label among 12 photos"):
        run(tmp_path / "data")


def test_labels_of_another_kind_are_passed_over_and_said(tmp_path, capsys):
    """Colours of the same classes beside the numbers, in a folder of their own (BDD100K)."""
    colors = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
    for n in range(COUNT):
        photo(tmp_path / f"data/images/{n}.jpg", n)
        save(tmp_path / f"data/labels/masks/{n}.png", numbers(n))
        save(tmp_path / f"data/labels/colormaps/{n}.png", colors[numbers(n)])
    run(tmp_path / "data")
    output = capsys.readouterr().out
    assert "labels/masks/0.png" in output.splitlines()[0]
    assert "6 pictures that --photos or --labels may name (labels/colormaps" in output


def test_split_may_be_part_of_a_folders_name(tmp_path):
    for n in range(COUNT):
        split = ("train", "val", "test")[n % 3]
        photo(tmp_path / f"data/{split}_images/{n}.png", n)
        save(tmp_path / f"data/{split}_segmentations/{n}.png", numbers(n))
    run(tmp_path / "data")
    for what, names in lists(tmp_path / "my_lists").items():
        assert {name.split("_")[0] for name in names} == {what}


@pytest.mark.parametrize("place", ["images", "masks"])
def test_json_that_is_not_labelmes_is_no_label(tmp_path, capsys, place):
    """A camera's data beside photos (A2D2), or polygons beside labels (ApolloScape)."""
    for n in range(COUNT):
        photo(tmp_path / f"data/images/{n}.jpg", n)
        save(tmp_path / f"data/masks/{n}.png", numbers(n))
        (tmp_path / f"data/{place}/{n}.json").write_text('{"exposure": 0.01}')
    run(tmp_path / "data")
    assert read_list(tmp_path / "my_lists/val.txt").labels == ["masks/4.png"]
    assert "left out: nothing" in capsys.readouterr().out


def test_json_of_an_unknown_tool_alone_is_a_sentence(tmp_path):
    for n in range(COUNT):
        photo(tmp_path / f"data/{n}.jpg", n)
        (tmp_path / f"data/{n}.json").write_text('{"exposure": 0.01}')
    with pytest.raises(
        UserError, match=r"\d.json: not a file of LabelMe, and there is"
    ):
        run(tmp_path / "data")


def kitti(root):
    """Labels of two kinds, and photos of a test set with the names of those to train on."""
    colors = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
    for n in range(COUNT):
        photo(root / f"training/image_2/00{n}_10.png", n)
        photo(root / f"testing/image_2/00{n}_10.png", n)
        save(root / f"training/semantic/00{n}_10.png", numbers(n))
        save(root / f"training/semantic_rgb/00{n}_10.png", colors[numbers(n)])


def kitti_road(root):
    """Two labels a photo, which have its number only."""
    for n in range(COUNT):
        photo(root / f"training/image_2/um_00{n}.png", n)
        photo(root / f"testing/image_2/um_00{n}.png", n)
        save(root / f"training/gt_image_2/um_lane_00{n}.png", numbers(n))
        save(root / f"training/gt_image_2/um_road_00{n}.png", numbers(n))


def test_picture_is_taken_before_the_npz_made_of_it(tmp_path):
    """The book's color2class.py leaves NAME_L.npz beside NAME_L.png, here of one image only."""
    for n in range(COUNT):
        photo(tmp_path / f"data/{n}.png", n)
        colors = np.array([[0, 0, 0], [9, 0, 0]], np.uint8)[numbers(n)]
        save(tmp_path / f"data/{n}_L.png", colors)
    np.savez(tmp_path / "data/4_L.npz", data=numbers(4))
    run(tmp_path / "data")
    assert read_list(tmp_path / "my_lists/val.txt").labels == ["4_L.png"]


def test_photo_has_the_shortest_of_several_names(tmp_path, capsys):
    """ISIC 2017 has a picture of superpixels beside each photo."""
    for n in range(COUNT):
        photo(tmp_path / f"data/Training_Data/ISIC_{n}.jpg", n)
        photo(tmp_path / f"data/Training_Data/ISIC_{n}_superpixels.png", n)
        name = f"Training_Part1_GroundTruth/ISIC_{n}_segmentation.png"
        save(tmp_path / "data" / name, numbers(n) * 255)
    run(tmp_path / "data")
    assert lists(tmp_path / "my_lists")["val"] == ["Training_Data/ISIC_4.jpg"]
    assert "6 pictures that --photos or --labels may name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "label"),
    [(kitti, "semantic/00{}_10"), (kitti_road, "gt_image_2/um_lane_00{}")],
)
def test_photo_of_a_test_set_gets_no_label_of_another(tmp_path, capsys, make, label):
    make(tmp_path / "data")
    run(tmp_path / "data")
    found = {}
    for what in ("train", "val", "test"):
        part = read_list(tmp_path / f"my_lists/{what}.txt")
        found |= dict(zip(part.images, part.labels, strict=True))
    assert all(image.startswith("training/image_2/") for image in found)
    assert sorted(found.values()) == [
        f"training/{label.format(n)}.png" for n in range(COUNT)
    ]
    assert "left out: 12 pictures that --photos or" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("annotations/a.json", '{"annotations": [], "images": []}', "COCO's JSON"),
        ("0.jpg.json", '{"objects": [{"classTitle": "cat"}]}', "Supervisely's JSON"),
        ("a.json", '[{"annotations": [{"from_name": 1}]}]', "Label Studio's JSON"),
        ("via.json", '{"0.jpg1": {"regions": []}}', "the JSON of VGG's VIA"),
        ("labels/0.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n", "YOLO's text files"),
        ("Annotations/0.xml", "<annotation/>", "XML"),
    ],
)
def test_annotations_of_other_tools_are_named(tmp_path, name, content, kind):
    for n in range(COUNT):
        photo(tmp_path / f"data/{n}.jpg", n)
    path = tmp_path / "data" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(UserError, match=f"{kind}; prepare.py reads .*: export them"):
        run(tmp_path / "data")
