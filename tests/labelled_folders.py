"""Labelled folders of a few small pictures, as data sets have them, and prepare.py run on one."""

import json

import numpy as np
from PIL import Image

import prepare
from dataset.list_reader import read_list

COUNT = 6
NAMES = ("train", "val", "test")
# Left half 0, right half 1.
NUMBERS = np.repeat([[0, 1]], 32, axis=0).repeat(24, axis=1).astype(np.uint8)


def numbers(n):
    """The label of image n: 0 left of column 12 + 4 n, else 1."""
    return np.tile(np.arange(48) >= 12 + 4 * n, (32, 1)).astype(np.uint8)


def save(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if palette:
        picture.putpalette(palette)
    picture.save(path)


def photo(path, n):
    """Each class of label n in a colour of its own, with noise."""
    noise = np.random.default_rng(n).integers(0, 60, (32, 48, 3))
    colors = np.array([[40, 60, 140], [150, 90, 20]])[numbers(n)]
    save(path, (colors + noise).astype(np.uint8))


def voc(root):
    for n in range(COUNT):
        photo(root / f"JPEGImages/{n}.jpg", n)
        label = root / f"SegmentationClass/{n}.png"
        save(label, numbers(n), palette=[0, 0, 0, 128, 0, 0])
    sets = root / "ImageSets/Segmentation"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("0\n1\n2\n3\n")
    (sets / "val.txt").write_text("4\n5\n")


def cityscapes(root):
    for n in range(COUNT):
        place = f"{('train', 'val')[n % 2]}/city/{n}"
        photo(root / f"leftImg8bit/{place}_leftImg8bit.png", n)
        for kind in ("labelTrainIds", "labelIds", "instanceIds", "color"):
            value = numbers(n) if kind == "labelTrainIds" else numbers(n) + 7
            save(root / f"gtFine/{place}_gtFine_{kind}.png", value)


def labelme(root):
    for n in range(COUNT):
        left = 12 + 4 * n
        points = [[left + 1.3, 0], [48, 0], [48, 32], [left - 0.6, 32]]
        photo(root / f"{n}.png", n)
        content = {
            "shapes": [{"label": "car", "points": points}],
            "imageHeight": 32,
            "imageWidth": 48,
        }
        (root / f"{n}.json").write_text(json.dumps(content))


def bowl(root):
    for n in range(COUNT):
        noise = np.random.default_rng(n).integers(0, 60, (32, 48))
        save(root / f"images/{n}.png", (numbers(n) * 90 + noise).astype(np.uint8))
        save(root / f"masks/{n}.png", numbers(n) * 255)


def one_folder(root):
    colors = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
    for n in range(COUNT):
        photo(root / f"{n}.jpg", n)
        save(root / f"{n}_mask.png", colors[numbers(n)])


def ade20k(root):
    for n in range(COUNT):
        split = ("training", "validation")[n % 2]
        photo(root / f"images/{split}/ADE_{n}.jpg", n)
        save(root / f"annotations/{split}/ADE_{n}.png", numbers(n))


def camvid(root):
    for n in range(COUNT):
        split = ("train", "val", "test")[n % 3]
        photo(root / f"{split}/{n // 3}.png", n)
        save(root / f"{split}annot/{n // 3}.png", numbers(n))


def unknown_trees(root):
    for n in range(COUNT):
        photo(root / f"B/{n}.jpg", n)
        save(root / f"A/{n}.png", numbers(n))


def unknown_trees_within_splits(root):
    """Photos and labels of different splits have the same names."""
    for n in range(COUNT):
        split = ("train", "val", "test")[n % 3]
        photo(root / f"{split}_y/{n // 3}.png", n)
        save(root / f"{split}_x/{n // 3}.png", numbers(n))


def unknown_words(root):
    for n in range(COUNT):
        photo(root / f"pics/{n}.png", n)
        save(root / f"gt_masks_v2/{n}.png", numbers(n) * 255)


def other_ending(root):
    for n in range(COUNT):
        photo(root / f"{n}.jpg", n)
        save(root / f"{n}.png", numbers(n), palette=[0, 0, 0, 128, 0, 0])


def same_numbers(root):
    for n in range(COUNT):
        photo(root / f"one/shot_{n:03}.jpg", n)
        save(root / f"two/drawn-{n:03}.png", numbers(n))


def suffix_of_its_own(root):
    """As in CHASE_DB1 and GlaS: the name of the photo, and more."""
    for n in range(COUNT):
        photo(root / f"shot_{n}.png", n)
        save(root / f"shot_{n}_1stHO.png", numbers(n) * 255)
        save(root / f"shot_{n}_2ndHO.png", numbers(n) * 0)


def drive(root):
    """GIF labels, and masks of the camera's window, which are named like labels, too."""
    for n in range(COUNT):
        split = ("training", "test")[n % 2]
        photo(root / f"{split}/images/{n}_{split}.tif", n)
        save(root / f"{split}/1st_manual/{n}_manual1.gif", numbers(n) * 255)
        save(root / f"{split}/mask/{n}_{split}_mask.gif", NUMBERS * 255)


def mask_of_each_object(root):
    """The Data Science Bowl 2018: a folder an image, a mask a nucleus; sizes differ, and names tell nothing."""
    for n in range(COUNT):
        size = (32, 48 + 16 * (n % 2))
        red = np.full(size, 40, np.uint8)
        for k, left in enumerate((4, 20)):
            mask = np.zeros(size, np.uint8)
            mask[8 + n : 20 + n, left : left + 10] = 255
            red[mask == 255] = 200
            save(root / f"{n}a/masks/{k}f{n}.png", mask)
        save(root / f"{n}a/images/{n}a.png", red)


def run(tree, *options):
    output = tree.parent / "my.yaml"
    assert prepare.main([str(tree), "--output", str(output), *options]) == 0
    return output


def lists(folder) -> dict[str, list[str]]:
    return {what: read_list(folder / f"{what}.txt").images for what in NAMES}
