"""The lists of a cross-validation: each image is scored once, by a model that has not seen it."""

import pytest

from config import read_config
from dataset.list_reader import read_list
from files.errors import UserError
from training.folds import find_folds, make_folds


def lists(fold) -> list[list[str]]:
    return [read_list(path).images for path in fold]


def write_fold(folder, number: int, **parts: str) -> None:
    place = folder / f"fold{number}"
    place.mkdir(parents=True)
    for part, names in parts.items():
        (place / f"{part}.txt").write_text(names.replace(" ", "\n"))


@pytest.fixture
def loaded(small_data):
    """Nine images a to i to train on; i (again) and j to validate with."""
    folder = small_data.folder
    (folder / "train_pointer").write_text("\n".join("abcdefghi"))
    (folder / "val_pointer").write_text("./i\nj\tlabels/j.png\n")
    return small_data


def make(data, count, overwrite=False):
    config = read_config(data.config_path)
    return make_folds(config, count, str(data.folder / "lists"), overwrite)


def test_blocks_of_neighbours_are_scored_and_those_behind_them_validate(loaded):
    folds = [lists(fold) for fold in make(loaded, 5)]
    assert [test for _, _, test in folds] == [
        list(p) for p in ["ab", "cd", "ef", "gh", "ij"]
    ]
    # Two of ten images validate: a fifth of the other eight is 1.6, rounded to 2.
    assert folds[1] == [list("ghijab"), list("ef"), list("cd")]
    assert folds[4] == [list("cdefgh"), list("ab"), list("ij")]


def test_labels_named_in_a_list_stay_with_their_images(loaded):
    pairs = read_list(make(loaded, 5)[4].test)
    assert pairs.lines == ["i", "j\tlabels/j.png"]


def test_made_folds_are_found_again(loaded):
    assert make(loaded, 3) == find_folds(str(loaded.folder / "lists"))


def test_fewer_images_than_folds_is_an_error(loaded):
    with pytest.raises(UserError, match="--folds 11: .* 10 images .*fewer than folds"):
        make(loaded, 11)
    assert not (loaded.folder / "lists").exists()


def test_a_fold_without_an_image_to_validate_with_is_an_error(loaded):
    (loaded.folder / "train_pointer").write_text("a")
    with pytest.raises(UserError, match="3 images are too few"):
        make(loaded, 2)


def test_other_lists_are_replaced_on_request_only(loaded):
    make(loaded, 3)
    assert len(make(loaded, 3)) == 3
    with pytest.raises(UserError, match=r"3 folds there, 2 here.*--overwrite"):
        make(loaded, 2)
    make(loaded, 2, overwrite=True)
    assert len(find_folds(str(loaded.folder / "lists"))) == 2


@pytest.mark.parametrize(
    "first, second, message",
    [
        ("b,c b a", "a,c a b", "c is in no fold's test.txt"),
        ("b b a", "./b a b", "b is in train.txt, too"),
        ("b b a", "a b b", "b is in val.txt, too"),
        ("b b a", "b b a", "a is in the test.txt of 2 folds"),
    ],
)
def test_an_image_that_a_model_has_seen_is_not_scored_by_it(
    tmp_path, first, second, message
):
    for number, names in enumerate((first, second), 1):
        train, val, test = names.split()
        write_fold(tmp_path, number, train=train.replace(",", " "), val=val, test=test)
    with pytest.raises(UserError, match=message):
        find_folds(str(tmp_path))


def test_a_missing_fold_is_named(tmp_path):
    write_fold(tmp_path, 1, train="b", val="b", test="a")
    write_fold(tmp_path, 3, train="a", val="a", test="b")
    with pytest.raises(UserError, match="fold2"):
        find_folds(str(tmp_path))
