import pytest

from dataset.file_finder import find_image, find_label, label_beside, refuse_missing
from files.errors import UserError


def test_png_comes_before_npz(tmp_path):
    (tmp_path / "a_L.npz").touch()
    assert label_beside(str(tmp_path / "a.jpg")).endswith("a_L.npz")
    (tmp_path / "a_L.png").touch()
    assert label_beside(str(tmp_path / "a.jpg")).endswith("a_L.png")


def test_missing_label_names_both_possible_files(tmp_path):
    with pytest.raises(UserError, match="a_L.png: no such label .nor a_L.npz"):
        label_beside(str(tmp_path / "a.png"))


def test_image_without_an_ending_is_found(tmp_path):
    (tmp_path / "a.v2.JPG").touch()
    assert find_image(str(tmp_path), "a.v2") == str(tmp_path / "a.v2.JPG")
    (tmp_path / "a.v2.png").touch()
    assert find_image(str(tmp_path), "a.v2") == str(tmp_path / "a.v2.png")


def test_label_without_an_ending_is_found(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.npz").touch()
    found = find_label(str(tmp_path), "masks/a")
    assert found == str(tmp_path / "masks" / "a.npz")


def test_labelmes_file_and_other_pictures_stand_in_for_a_png_beside_the_image(tmp_path):
    (tmp_path / "a_L.jpg").touch()
    assert label_beside(str(tmp_path / "a.png")) == str(tmp_path / "a_L.jpg")
    (tmp_path / "a.json").touch()
    assert label_beside(str(tmp_path / "a.png")) == str(tmp_path / "a.json")


def test_name_in_other_case_is_named(tmp_path):
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "A.PNG").touch()
    expected = "sub/a.png: no such image file; there is .*Sub/A.PNG: capital and small"
    with pytest.raises(UserError, match=expected):
        refuse_missing(str(tmp_path / "sub" / "a.png"))


def test_image_with_another_ending_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(
        UserError, match=r"a\.png: no such image file; there is .*a\.jpg"
    ):
        refuse_missing(str(tmp_path / "a.png"))
    with pytest.raises(UserError, match=r"a\.png: no such label$"):  # it is the photo
        find_label(str(tmp_path), "a.png")


def test_label_in_other_case_is_named(tmp_path):
    (tmp_path / "a_l.png").touch()
    with pytest.raises(
        UserError, match=r"a_L.png: no such label .* there is .*a_l\.png"
    ):
        label_beside(str(tmp_path / "a.png"))


def test_backslash_between_folders_is_named(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    with pytest.raises(UserError, match=r"there is .*sub/a.png: write / between"):
        find_label(str(tmp_path), "sub\\a.png")
