"""What reaches a decoder: whole pictures of six formats, with their pixels unchanged."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from tiny_run import peak_memory

from dataset.image_reader import read_picture
from dataset.picture_header import checked_picture
from files.errors import UserError
from files.opencv import cv2

# 8 x 8 pixels, and a frame at (0, 10): OpenCV 4.11 writes outside of its memory.
ANIMATION = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080806000000c40fbe8b000000086163544c0000000200"
    "000000f38d93700000001a6663544c00000000000000080000000800000004000000040001000a0000b6d8edf3000"
    "0000d49444154789c636018052000000108000182e90b1d0000000049454e44ae426082"
)
PHOTO = np.random.default_rng(2).integers(0, 256, (12, 16, 3), np.uint8)
PHOTO = cv2.resize(PHOTO, (160, 120), interpolation=cv2.INTER_CUBIC)


def saved(kind: str, image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture_of(folder, content: bytes) -> np.ndarray:
    (folder / "a").write_bytes(content)
    return read_picture(str(folder / "a"))


def jpeg(**options) -> bytes:
    return saved("JPEG", Image.fromarray(PHOTO), **options)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_formats_give_the_pixels_that_were_stored(tmp_path, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(kind, Image.fromarray(PHOTO), **options)
    assert np.array_equal(picture_of(tmp_path, content), PHOTO)


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"restart_marker_blocks": 5}, {"progressive": True}],
)
def test_jpeg_gives_the_pixels_of_another_decoder(tmp_path, options):
    content = jpeg(**options)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(picture_of(tmp_path, content), expected)


@pytest.mark.parametrize("behind", [b"", b"\0" * 100, jpeg()])
def test_what_stands_behind_a_jpeg_does_not_matter(tmp_path, behind):
    """Telephones put a second picture there."""
    expected = picture_of(tmp_path, jpeg())
    assert np.array_equal(picture_of(tmp_path, jpeg() + behind), expected)


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 5}])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_jpeg_that_is_cut_is_refused_though_it_has_an_end(
    tmp_path, end, options, share
):
    content = jpeg(**options)
    start = content.index(b"\xff\xda") + 14
    cut = start + int(share * (len(content) - start))
    with pytest.raises(UserError, match="a: not an image that can be read"):
        picture_of(tmp_path, content[:cut] + end)


WEBPS = {
    "lossy": saved("WEBP", Image.fromarray(PHOTO)),
    "lossless": saved("WEBP", Image.fromarray(PHOTO), lossless=True),
    "extended": saved("WEBP", Image.fromarray(PHOTO), exif=b"Exif\0\0" + bytes(20)),
}


@pytest.mark.parametrize("kind", WEBPS)
def test_size_of_a_webp_is_that_of_another_reader(kind):
    chunk = {"lossy": b"VP8 ", "lossless": b"VP8L", "extended": b"VP8X"}[kind]
    assert WEBPS[kind][12:16] == chunk
    _, size = checked_picture("a", WEBPS[kind])
    assert size == (120, 160)


def refusal_of(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        checked_picture("a", content)
    return str(caught.value)


@pytest.mark.parametrize("kind", WEBPS)
def test_webp_that_claims_the_largest_size_is_refused_without_room_for_it(kind):
    # The largest width and height: 14 bits each, or 24 of an extended file.
    places = {"lossy": (26, 30), "lossless": (21, 25), "extended": (24, 30)}
    content = bytearray(WEBPS[kind])
    first, last = places[kind]
    content[first:last] = b"\xff" * (last - first)
    message, memory = peak_memory(refusal_of, bytes(content))
    assert "bytes cannot hold the 16" in message
    assert memory < 50


def test_animated_png_and_webp_are_refused(tmp_path):
    photo = Image.fromarray(PHOTO)
    webp = saved("WEBP", photo, save_all=True, append_images=[photo.rotate(90)])
    for animation in ANIMATION, webp:
        with pytest.raises(UserError, match="it is an animation; save a single"):
            picture_of(tmp_path, animation)


@pytest.mark.parametrize("alone", [b"\xff\xd0", b"\xff\x01", b"\xff\0"])
def test_jpeg_cannot_hide_its_frame_behind_a_marker_without_length(tmp_path, alone):
    """libjpeg passes over such a marker; who reads a length behind it sees another frame."""
    content = jpeg()
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    # The next marker's FFC0 as a length leads to the end of a comment, which holds these two.
    another = bytes.fromhex("ffc0000b080008000801011100ffda0008010100003f00")
    filled = frame + 2 + 0xFFC0 - (scan + len(alone) + 4)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + filled + len(another))
    hidden = content[frame:scan] + comment + bytes(filled) + another + content[scan:]
    assert picture_of(tmp_path, content[:frame] + hidden).shape == (120, 160, 3)
    assert "cut short or damaged" in refusal_of(content[:frame] + alone + hidden)


def tiff(*more: tuple[int, int], width: int = 8) -> bytes:
    """A grey TIFF of 8 lines; further tags and their values, in front."""
    tags = [*more, (256, width), (257, 8), (258, 8), (259, 1), (262, 1)]
    place = 8 + 2 + 12 * (len(tags) + 4) + 4
    tags += [(273, place), (277, 1), (278, 8), (279, 8 * width)]
    entries = b"".join(struct.pack("<2H2I", tag, 4, 1, value) for tag, value in tags)
    return (
        struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4 + 8 * width)
    )


def test_tiff_that_claims_two_sizes_is_refused(tmp_path):
    """Pillow takes the last width, OpenCV the first."""
    assert picture_of(tmp_path, tiff()).shape == (8, 8)
    assert "its header is damaged" in refusal_of(tiff((256, 5000), (257, 5000)))


def test_tile_of_a_tiff_counts_as_its_size(tmp_path):
    """OpenCV makes room for a whole tile."""
    _, size = checked_picture("a", tiff((322, 512), (323, 256)))
    assert size == (256, 512)
    assert "cannot hold the 9000 x 9000" in refusal_of(tiff((322, 9000), (323, 9000)))


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "AVIF", "SGI"])
def test_other_formats_are_refused_by_name_of_those_that_are_read(tmp_path, kind):
    with pytest.raises(
        UserError, match="it is no PNG, JPEG, BMP, TIFF, WebP or PNM file"
    ):
        picture_of(tmp_path, saved(kind, Image.fromarray(PHOTO)))


def test_palette_of_a_png_becomes_its_colours(tmp_path):
    image = Image.fromarray(PHOTO).quantize(16)
    content = saved("PNG", image)
    assert np.array_equal(
        picture_of(tmp_path, content), np.asarray(image.convert("RGB"))
    )


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_16_bits_are_kept(tmp_path, ending):
    levels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    content = cv2.imencode(ending, levels)[1].tobytes()
    assert np.array_equal(picture_of(tmp_path, content), levels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photo_that_the_camera_marked_as_turned_stands_upright(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    content = saved(kind, Image.fromarray(PHOTO), exif=exif)
    assert picture_of(tmp_path, content).shape == (160, 120, 3)


@pytest.mark.parametrize("scans", range(1, 10))
def test_progressive_jpeg_without_its_last_scans_is_refused(tmp_path, scans):
    """libjpeg shows it blurred, and says nothing."""
    whole = saved("JPEG", Image.fromarray(PHOTO), progressive=True)
    parts = whole.split(b"\xff\xda")
    assert len(parts) == 11
    cut = b"\xff\xda".join(parts[: scans + 1]) + b"\xff\xd9"
    with pytest.raises(UserError, match="cut short: its last scans are missing"):
        picture_of(tmp_path, cut)
    assert picture_of(tmp_path, whole).shape == (120, 160, 3)


def test_progressive_jpeg_of_which_only_the_constant_coefficients_are_left_is_refused():
    """Other encoders than libjpeg's send these with all bits at once."""
    whole = saved("JPEG", Image.fromarray(PHOTO), progressive=True)
    head, constant = whole.split(b"\xff\xda")[:2]
    # Length, number of components, two bytes for each, band, and bits: 0x01 leaves out the last.
    assert constant[2] == 3
    assert constant[9:12] == b"\0\0\x01"
    constant = constant[:11] + b"\0" + constant[12:]
    with pytest.raises(UserError, match="cut short"):
        checked_picture("a.jpg", head + b"\xff\xda" + constant + b"\xff\xd9")
