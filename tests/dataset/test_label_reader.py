import numpy as np
import pytest
from conftest import COLORS, write_picture
from PIL import Image
from tiny_run import peak_memory

from dataset.label_reader import holds_only_0_and_255, palette_table, read_label
from dataset.label_table import ignoring, read_label_table, with_label_rules
from files.errors import UserError
from files.opencv import cv2


@pytest.fixture
def table(tmp_path):
    rows = "".join(f"{r},{g},{b},{name}\n" for name, (r, g, b) in COLORS.items())
    (tmp_path / "table").write_text(rows)
    return read_label_table(tmp_path / "table", ["Car"])


CLASSES = np.array([[0, 1], [2, 0]])
WITHOUT_CAR = [[0, 1], [-1, 0]]


def test_colour_png(tmp_path, table):
    write_picture(tmp_path / "a_L.png", table.colors_of_classes(CLASSES))
    assert read_label(str(tmp_path / "a_L.png"), table, (2, 2)).tolist() == WITHOUT_CAR


def test_index_png(tmp_path, table):
    write_picture(tmp_path / "a_L.png", CLASSES.astype(np.uint8))
    assert read_label(str(tmp_path / "a_L.png"), table, (2, 2)).tolist() == WITHOUT_CAR


def test_npz_of_the_book(tmp_path, table):
    np.savez(tmp_path / "a_L.npz", data=np.where(CLASSES == 1, -1, CLASSES))
    label = read_label(str(tmp_path / "a_L.npz"), table, (2, 2))
    assert label.tolist() == [[0, -1], [-1, 0]]


def test_colour_in_no_row_is_named_with_its_pixels(tmp_path, table):
    picture = table.colors_of_classes(CLASSES)
    picture[0] = 9, 8, 7
    write_picture(tmp_path / "a_L.png", picture)
    with pytest.raises(
        UserError,
        match="a_L.png: the colour 9,8,7 of 2 pixels is in no row of .*table",
    ):
        read_label(str(tmp_path / "a_L.png"), table, (2, 2))


def test_class_number_outside_the_table_is_named_with_its_pixels(tmp_path, table):
    write_picture(tmp_path / "a_L.png", np.array([[0, 3], [3, 3]], np.uint8))
    with pytest.raises(
        UserError,
        match="a_L.png: class number 3 of 3 pixels is outside the table .* ignore_index: 3",
    ):
        read_label(str(tmp_path / "a_L.png"), table, (2, 2))


def test_negative_class_number_other_than_minus_one(tmp_path, table):
    np.savez(tmp_path / "a_L.npz", data=np.array([[-2, 0]]))
    with pytest.raises(UserError, match="class number -2"):
        read_label(str(tmp_path / "a_L.npz"), table, (1, 2))


def test_other_size_than_the_image(tmp_path, table):
    write_picture(tmp_path / "a_L.png", np.zeros((2, 3), np.uint8))
    with pytest.raises(UserError, match="the label is 3 x 2 pixels, its image 5 x 4"):
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
def test_npz_that_is_no_label(tmp_path, table, arrays, message):
    np.savez(tmp_path / "a_L.npz", **arrays)
    with pytest.raises(UserError, match=message):
        read_label(str(tmp_path / "a_L.npz"), table, (2, 2))


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]


def write_palette(path, indices, colors, **options) -> None:
    image = Image.fromarray(np.array(indices, np.uint8))
    image.putpalette([level for color in colors for level in color])
    image.save(path, **options)


def table_of(tmp_path, colors, **rules):
    rows = "".join(f"{r},{g},{b},class {i}\n" for i, (r, g, b) in enumerate(colors))
    (tmp_path / "table").write_text(rows)
    rules = {
        "ignore_index": 255,
        "label_values": "class_numbers",
        "background_label": None,
    } | rules
    return with_label_rules(read_label_table(tmp_path / "table"), **rules)


class TestNumbersThatDoNotCount:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_ignore_index_becomes_minus_one(self, tmp_path, table, dtype):
        cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 255, 1]], dtype))
        label = read_label(str(tmp_path / "a.png"), table, (1, 3))
        assert label.tolist() == [[0, -1, 1]]

    def test_ignore_index_may_be_another_number(self, tmp_path):
        table = table_of(tmp_path, VOC, ignore_index=65535)
        cv2.imwrite(str(tmp_path / "a.png"), np.array([[4, 65535]], np.uint16))
        assert read_label(str(tmp_path / "a.png"), table, (1, 2)).tolist() == [[4, -1]]
        cv2.imwrite(str(tmp_path / "b.png"), np.array([[4, 255]], np.uint16))
        with pytest.raises(UserError, match="255 .* write ignore_index: 255"):
            read_label(str(tmp_path / "b.png"), table, (1, 2))

    def test_ignore_index_does_not_swallow_a_class(self, tmp_path):
        with pytest.raises(
            UserError, match="ignore_index: 4 is the class 'class 4' of .*table"
        ):
            table_of(tmp_path, VOC, ignore_index=4)
        assert table_of(tmp_path, VOC, ignore_index=-1).ignore_index == -1


class TestGreyLevels:
    GREY = ((0, 0, 0), (255, 255, 255), (100, 100, 100))

    def test_grey_levels_are_the_tables_rows(self, tmp_path):
        table = table_of(tmp_path, self.GREY, label_values="grey_levels")
        write_picture(tmp_path / "a.png", np.array([[0, 255], [100, 0]], np.uint8))
        label = read_label(str(tmp_path / "a.png"), table, (2, 2))
        assert label.tolist() == [[0, 1], [2, 0]]

    def test_grey_level_of_no_row_is_named(self, tmp_path):
        table = table_of(tmp_path, self.GREY, label_values="grey_levels")
        write_picture(tmp_path / "a.png", np.array([[0, 254]], np.uint8))
        with pytest.raises(UserError, match="the colour 254,254,254 of 1 pixels"):
            read_label(str(tmp_path / "a.png"), table, (1, 2))

    @pytest.mark.parametrize("label_values", ["class_numbers", "grey_levels"])
    def test_png_of_1_bit_is_both(self, tmp_path, label_values):
        table = table_of(tmp_path, self.GREY, label_values=label_values)
        mask = np.random.default_rng(0).integers(0, 2, (5, 11)).astype(bool)
        Image.fromarray(mask).save(tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            assert image.mode == "1"
        label = read_label(str(tmp_path / "a.png"), table, (5, 11))
        assert label.tolist() == mask.astype(int).tolist()

    def test_number_outside_that_is_a_grey_level_says_the_line_to_write(self, tmp_path):
        table = table_of(tmp_path, self.GREY)
        write_picture(tmp_path / "a.png", np.array([[0, 100]], np.uint8))
        with pytest.raises(UserError, match="write label_values: grey_levels"):
            read_label(str(tmp_path / "a.png"), table, (1, 2))

    def test_black_and_white_is_recognised(self, tmp_path):
        def is_mask(picture) -> bool:
            write_picture(tmp_path / "a.png", np.array(picture, np.uint8))
            return holds_only_0_and_255(str(tmp_path / "a.png"))

        assert is_mask([[0, 255]]) and is_mask([[255, 255]])
        assert not is_mask([[0, 0]]) and not is_mask([[0, 1, 255]])
        assert not is_mask([[[0, 0, 0], [255, 255, 255]]])


class TestPalette:
    INDICES = np.random.default_rng(1).integers(0, 5, (7, 9))

    def test_indices_are_the_classes(self, tmp_path):
        """As in VOC: a whole palette of 256, 255 is the border, and a table of other colours."""
        colors = [*VOC, *((200, i, 1) for i in range(251))]
        indices = np.where(self.INDICES == 3, 255, self.INDICES)
        write_palette(tmp_path / "a.png", indices, colors)
        with Image.open(tmp_path / "a.png") as image:
            assert image.mode == "P"
            expected = np.array(image).astype(int)
        table = table_of(tmp_path, VOC[::-1])
        label = read_label(str(tmp_path / "a.png"), table, (7, 9))
        assert label.tolist() == np.where(expected == 255, -1, expected).tolist()

    @pytest.mark.parametrize("bits", [4, 8])
    def test_colours_count_where_the_whole_palette_is_in_the_table(
        self, tmp_path, bits
    ):
        write_palette(tmp_path / "a.png", self.INDICES, VOC, bits=bits)
        table = table_of(tmp_path, [(1, 2, 3), *VOC])
        label = read_label(str(tmp_path / "a.png"), table, (7, 9))
        assert label.tolist() == (self.INDICES + 1).tolist()

    def test_black_that_fills_a_palette_up_does_not_change_what_counts(self, tmp_path):
        colors = [*VOC[1:], *[(0, 0, 0)] * 200]
        write_palette(tmp_path / "a.png", self.INDICES % 4, colors)
        table = table_of(tmp_path, [(1, 2, 3), *VOC[1:]])
        label = read_label(str(tmp_path / "a.png"), table, (7, 9))
        assert label.tolist() == (self.INDICES % 4 + 1).tolist()

    def test_ignored_classes_of_a_palette_do_not_count(self, tmp_path, table):
        write_palette(tmp_path / "a.png", CLASSES, list(COLORS.values()))
        label = read_label(str(tmp_path / "a.png"), table, (2, 2))
        assert label.tolist() == WITHOUT_CAR

    def test_index_outside_the_table_says_why_it_counts(self, tmp_path, table):
        write_palette(tmp_path / "a.png", [[0, 4]], VOC)
        with pytest.raises(
            UserError,
            match="class number 4 of 1 pixels .* its colour 0,0,0 is in no row",
        ):
            read_label(str(tmp_path / "a.png"), table, (1, 2))

    def test_palette_with_fewer_colours_than_indices(self, tmp_path):
        write_palette(tmp_path / "a.png", [[0, 7]], VOC)
        table = table_of(tmp_path, [(9, 9, i) for i in range(9)])
        with pytest.raises(UserError, match="number 7, but its palette has only 5"):
            read_label(str(tmp_path / "a.png"), table, (1, 2))

    def test_ignore_index_needs_no_colour_in_the_palette(self, tmp_path):
        colors = [*VOC, *((200, i, 1) for i in range(15))]
        table = table_of(tmp_path, colors)
        write_palette(tmp_path / "a.png", [[4, 255]], colors)
        assert read_label(str(tmp_path / "a.png"), table, (1, 2)).tolist() == [[4, -1]]

    def test_palette_in_the_tables_order_may_be_filled_up_with_black(self, tmp_path):
        """The pixels of 255 have the colour of class 0, but do not count."""
        write_palette(tmp_path / "a.png", [[4, 0, 255]], VOC, bits=8)
        label = read_label(str(tmp_path / "a.png"), table_of(tmp_path, VOC), (1, 3))
        assert label.tolist() == [[4, 0, -1]]

    def test_classes_of_a_palette_stand_in_for_a_table(self, tmp_path):
        write_palette(tmp_path / "a.png", self.INDICES, VOC)
        table = palette_table(str(tmp_path / "a.png"), None)
        assert table.names == tuple(f"class {i}" for i in range(5))
        assert table.colors.tolist() == [list(color) for color in VOC]
        assert len(palette_table(str(tmp_path / "a.png"), 3)) == 3

    @pytest.mark.parametrize(
        "colors, n_class, message",
        [
            (VOC, 6, "n_class: 6 is more than the 5 colours"),
            ([(i, 0, 0) for i in range(256)], None, "n_class: the key is missing"),
            (
                [*VOC, VOC[1]],
                None,
                "two of the first 6 colours of its palette are alike",
            ),
        ],
    )
    def test_palette_that_is_no_table(self, tmp_path, colors, n_class, message):
        write_palette(tmp_path / "a.png", [[0]], colors)
        with pytest.raises(UserError, match=message):
            palette_table(str(tmp_path / "a.png"), n_class)

    def test_picture_without_a_palette_is_no_table(self, tmp_path):
        write_picture(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
        with pytest.raises(UserError, match="label_path: the key is missing"):
            palette_table(str(tmp_path / "a.png"), 2)

    def test_damaged_palette_png(self, tmp_path, table):
        write_palette(tmp_path / "a.png", self.INDICES, VOC)
        content = bytearray((tmp_path / "a.png").read_bytes())
        content[content.index(b"IDAT") + 8] ^= 0xFF
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(UserError, match="not an image that can be read"):
            read_label(str(tmp_path / "a.png"), table, (7, 9))


class TestJpeg:
    def test_jpeg_of_numbers_is_refused(self, tmp_path, table):
        cv2.imwrite(str(tmp_path / "a.jpg"), CLASSES.astype(np.uint8))
        with pytest.raises(UserError, match="a.jpg: a JPEG changes .* as PNG"):
            read_label(str(tmp_path / "a.jpg"), table, (2, 2))

    def test_jpeg_whose_colours_have_changed_is_refused(self, tmp_path, table):
        rgb = table.colors_of_classes(CLASSES).repeat(5, 0).repeat(5, 1)
        cv2.imwrite(str(tmp_path / "a.jpg"), rgb[..., ::-1])
        with pytest.raises(UserError, match="in no row of .*; a JPEG changes colours"):
            read_label(str(tmp_path / "a.jpg"), table, (10, 10))


class TestNearestColors:
    COLORS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))

    def test_each_pixel_has_the_class_of_the_nearest_colour(self, tmp_path):
        table = table_of(tmp_path, self.COLORS, label_values="nearest_colors")
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (20, 30, 3), np.uint8)
        write_picture(tmp_path / "a.png", picture)
        label = read_label(str(tmp_path / "a.png"), table, (20, 30))
        distances = [
            ((picture - np.array(color, float)) ** 2).sum(axis=2)
            for color in self.COLORS
        ]
        np.testing.assert_array_equal(label, np.argmin(distances, axis=0))

    def test_grey_levels_and_jpeg_are_read_so_too(self, tmp_path):
        table = table_of(
            tmp_path,
            ((0, 0, 0), (255, 255, 255)),
            label_values="nearest_colors",
        )
        mask = np.zeros((16, 32), np.uint8)
        mask[:, 16:] = 250
        Image.fromarray(mask).save(tmp_path / "a.jpg")
        label = read_label(str(tmp_path / "a.jpg"), table, (16, 32))
        np.testing.assert_array_equal(label, mask == 250)

    def test_nearest_class_that_does_not_count_is_minus_one(self, tmp_path):
        table = table_of(tmp_path, self.COLORS, label_values="nearest_colors")
        table = ignoring(table, ["class 1"])
        picture = np.array([[[190, 9, 9], [9, 9, 190]]], np.uint8)
        write_picture(tmp_path / "a.png", picture)
        assert read_label(str(tmp_path / "a.png"), table, (1, 2)).tolist() == [[-1, 2]]


class TestFolderOfMasks:
    def test_what_is_white_in_any_mask_is_white(self, tmp_path):
        table = table_of(
            tmp_path, ((0, 0, 0), (255, 255, 255)), label_values="grey_levels"
        )
        masks = tmp_path / "masks"
        masks.mkdir()
        write_picture(masks / "a.png", np.array([[255, 0, 0, 0]], np.uint8))
        write_picture(masks / "b.png", np.array([[0, 0, 1, 0]], np.uint8))  # 0 and 1
        write_palette(masks / "c.png", [[0, 1, 0, 0]], [(0, 0, 0), (255, 255, 255)])
        write_picture(masks / ".d.png", np.array([[255] * 4], np.uint8))  # hidden
        (masks / "notes.txt").write_text("by hand")
        label = read_label(str(masks), table, (1, 4))
        assert label.tolist() == [[1, 1, 1, 0]]

    def test_mask_of_another_size_is_named(self, tmp_path, table):
        (tmp_path / "masks").mkdir()
        write_picture(tmp_path / "masks/a.png", np.zeros((2, 2), np.uint8))
        with pytest.raises(
            UserError, match=r"a\.png: the label is 2 x 2.*in the size of"
        ):
            read_label(str(tmp_path / "masks"), table, (1, 4))

    def test_folder_without_masks_is_a_sentence(self, tmp_path, table):
        (tmp_path / "masks").mkdir()
        with pytest.raises(UserError, match="there is no picture in it"):
            read_label(str(tmp_path / "masks"), table, (1, 4))


class TestGif:
    INDICES = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)

    def test_indices_of_the_palette_are_classes(self, tmp_path, table):
        write_palette(tmp_path / "a.gif", self.INDICES, [(0, 0, 0), (9, 9, 9)])
        label = read_label(str(tmp_path / "a.gif"), table, (2, 3))
        assert label.tolist() == self.INDICES.tolist()

    def test_animation_is_a_sentence(self, tmp_path, table):
        pictures = [Image.fromarray(self.INDICES * 255), Image.fromarray(self.INDICES)]
        pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
        with pytest.raises(UserError, match="a GIF of 2 pictures; save a single one"):
            read_label(str(tmp_path / "a.gif"), table, (2, 3))

    def test_picture_larger_than_the_screen_counts(self, tmp_path, table):
        """Pillow makes room for where the picture reaches, whatever the screen's size is."""
        write_palette(tmp_path / "a.gif", self.INDICES, [(0, 0, 0), (9, 9, 9)])
        content = bytearray((tmp_path / "a.gif").read_bytes())
        start = content.rindex(b",", 0, -4)
        while content[start + 5 : start + 9] != b"\x03\0\x02\0":  # width 3, height 2
            start = content.rindex(b",", 0, start)
        content[start + 5 : start + 9] = b"\xff\xff\xff\xff"
        (tmp_path / "a.gif").write_bytes(content)
        with pytest.raises(UserError, match="cannot hold the 65535 x 65535 pixels"):
            read_label(str(tmp_path / "a.gif"), table, (2, 3))

    def test_damaged_file_is_a_sentence(self, tmp_path, table):
        write_palette(tmp_path / "a.gif", self.INDICES, [(0, 0, 0), (9, 9, 9)])
        content = (tmp_path / "a.gif").read_bytes()
        for length in range(6, len(content) - 1):
            (tmp_path / "a.gif").write_bytes(content[:length])
            with pytest.raises(UserError, match="not an image that can be read"):
                read_label(str(tmp_path / "a.gif"), table, (2, 3))


def refusal_of(path: str, table) -> str:
    with pytest.raises(UserError) as caught:
        read_label(path, table, (48, 64))
    return str(caught.value)


@pytest.mark.parametrize("name", ["a_L.png", "masks"])
def test_huge_label_of_a_small_image_is_not_decoded(tmp_path, table, name):
    """33 million pixels in 200 KB: eight threads took 4 GB."""
    path = tmp_path / name
    if name == "masks":
        path.mkdir()
    picture = np.zeros((4000, 5000, 3), np.uint16)
    write_picture(path / "a.png" if name == "masks" else path, picture)
    message, memory = peak_memory(refusal_of, str(path), table)
    assert "the label is 5000 x 4000 pixels, its image 64 x 48" in message
    assert memory < 30
