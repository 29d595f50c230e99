import numpy as np
import pytest
from conftest import COLORS, write_picture

from dataset.image_reader import label_path, read_image, read_label, read_pointer_file
from dataset.label_table import read_label_table
from files.errors import UserError
from files.opencv import cv2


@pytest.fixture
def table(tmp_path):
    rows = "".join(f"{r},{g},{b},{name}\n" for name, (r, g, b) in COLORS.items())
    (tmp_path / "table").write_text(rows)
    return read_label_table(tmp_path / "table", ["Car"])


CLASSES = np.array([[0, 1], [2, 0]])
WITHOUT_CAR = [[0, 1], [-1, 0]]


class TestPointerFile:
    def test_names_come_one_a_line_without_blank_ones(self, tmp_path):
        (tmp_path / "list").write_bytes("\ufeffa.png\r\n\n sub/b.png \n道.png".encode())
        assert read_pointer_file(tmp_path / "list") == ["a.png", "sub/b.png", "道.png"]

    def test_missing_list_names_the_key(self, tmp_path):
        with pytest.raises(
            UserError, match="val_image_pointer: cannot read .*: No such file"
        ):
            read_pointer_file(tmp_path / "list", "val_image_pointer")

    def test_empty_list(self, tmp_path):
        (tmp_path / "list").write_text("\n \n")
        with pytest.raises(UserError, match="is empty"):
            read_pointer_file(tmp_path / "list")

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.png", ".."]
    )
    def test_name_that_leaves_the_folder(self, tmp_path, name):
        (tmp_path / "list").write_text(f"a.png\n{name}\n")
        with pytest.raises(UserError, match="line 2: .* leaves the image folder"):
            read_pointer_file(tmp_path / "list")


class TestImage:
    def test_colours_come_as_rgb(self, tmp_path):
        rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        write_picture(tmp_path / "a.png", rgb)
        assert read_image(str(tmp_path / "a.png"), 3).tolist() == rgb.tolist()

    def test_grey_image_keeps_a_channel_axis(self, tmp_path):
        write_picture(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
        assert read_image(str(tmp_path / "a.png"), 1).shape == (2, 3, 1)

    def test_alpha_is_dropped(self, tmp_path):
        bgra = np.array([[[3, 2, 1, 77]]], np.uint8)
        cv2.imwrite(str(tmp_path / "a.png"), bgra)
        assert read_image(str(tmp_path / "a.png"), 3).tolist() == [[[1, 2, 3]]]

    def test_16_bits_become_8(self, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 257, 65535]], np.uint16))
        assert read_image(str(tmp_path / "a.png"), 1).ravel().tolist() == [0, 1, 255]

    @pytest.mark.parametrize(
        "in_ch, shape, advice", [(1, (2, 2, 3), "in_ch: 3"), (3, (2, 2), "in_ch: 1")]
    )
    def test_other_number_of_channels_says_what_to_set(
        self, tmp_path, in_ch, shape, advice
    ):
        write_picture(tmp_path / "a.png", np.zeros(shape, np.uint8))
        with pytest.raises(
            UserError, match=f"in_ch: {in_ch} disagrees with .*a.png.* set {advice}"
        ):
            read_image(str(tmp_path / "a.png"), in_ch)

    @pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
    def test_image_that_does_not_decode(self, tmp_path, content):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(UserError, match="a.png: not an image that can be read"):
            read_image(str(tmp_path / "a.png"), 3)

    def test_missing_image(self, tmp_path):
        with pytest.raises(UserError, match="a.png: no such image file"):
            read_image(str(tmp_path / "a.png"), 3)


class TestLabel:
    def test_colour_png(self, tmp_path, table):
        write_picture(tmp_path / "a_L.png", table.colors_of_classes(CLASSES))
        assert (
            read_label(str(tmp_path / "a_L.png"), table, (2, 2)).tolist() == WITHOUT_CAR
        )

    def test_index_png(self, tmp_path, table):
        write_picture(tmp_path / "a_L.png", CLASSES.astype(np.uint8))
        assert (
            read_label(str(tmp_path / "a_L.png"), table, (2, 2)).tolist() == WITHOUT_CAR
        )

    def test_npz_of_the_book(self, tmp_path, table):
        np.savez(tmp_path / "a_L.npz", data=np.where(CLASSES == 1, -1, CLASSES))
        label = read_label(str(tmp_path / "a_L.npz"), table, (2, 2))
        assert label.tolist() == [[0, -1], [-1, 0]]

    def test_png_comes_before_npz(self, tmp_path):
        (tmp_path / "a_L.npz").touch()
        assert label_path(str(tmp_path / "a.jpg")).endswith("a_L.npz")
        (tmp_path / "a_L.png").touch()
        assert label_path(str(tmp_path / "a.jpg")).endswith("a_L.png")

    def test_missing_label_names_both_possible_files(self, tmp_path):
        with pytest.raises(UserError, match="a_L.png: no such label .nor a_L.npz"):
            label_path(str(tmp_path / "a.png"))

    def test_colour_in_no_row_is_named_with_its_pixels(self, tmp_path, table):
        picture = table.colors_of_classes(CLASSES)
        picture[0] = 9, 8, 7
        write_picture(tmp_path / "a_L.png", picture)
        with pytest.raises(
            UserError,
            match="a_L.png: the colour 9,8,7 of 2 pixels is in no row of .*table",
        ):
            read_label(str(tmp_path / "a_L.png"), table, (2, 2))

    def test_class_number_outside_the_table_is_named_with_its_pixels(
        self, tmp_path, table
    ):
        write_picture(tmp_path / "a_L.png", np.array([[0, 3], [3, 3]], np.uint8))
        with pytest.raises(
            UserError, match="a_L.png: class number 3 of 3 pixels is outside the table"
        ):
            read_label(str(tmp_path / "a_L.png"), table, (2, 2))

    def test_negative_class_number_other_than_minus_one(self, tmp_path, table):
        np.savez(tmp_path / "a_L.npz", data=np.array([[-2, 0]]))
        with pytest.raises(UserError, match="class number -2"):
            read_label(str(tmp_path / "a_L.npz"), table, (1, 2))

    def test_other_size_than_the_image(self, tmp_path, table):
        write_picture(tmp_path / "a_L.png", np.zeros((2, 3), np.uint8))
        with pytest.raises(
            UserError, match="the label is 3 x 2 pixels, its image 5 x 4"
        ):
            read_label(str(tmp_path / "a_L.png"), table, (4, 5))

    @pytest.mark.parametrize(
        "arrays, message",
        [
            ({"other": CLASSES}, "no array 'data'"),
            ({"data": CLASSES.astype(float)}, "whole numbers"),
            ({"data": np.zeros((2, 2, 2), int)}, "whole numbers"),
            (
                {"data": np.array([[{}, 1], [1, 1]], object)},
                "holds objects, which could run code",
            ),
            ({"data": np.zeros((999, 999), int)}, "the label is 999 x 999 pixels"),
        ],
    )
    def test_npz_that_is_no_label(self, tmp_path, table, arrays, message):
        np.savez(tmp_path / "a_L.npz", **arrays)
        with pytest.raises(UserError, match=message):
            read_label(str(tmp_path / "a_L.npz"), table, (2, 2))
