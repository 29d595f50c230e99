"""Reads what a user's folder holds: the list of images, an image, a label."""

import os
import re
import struct

import numpy as np

from dataset.label_table import LabelTable
from files.errors import UserError
from files.npz_reader import Shapes, read_npz
from files.opencv import MAX_PIXELS, cv2

_MAX_POINTER_BYTES = 1 << 28
# A picture of the largest size that opencv.py allows fits; a disk image given the wrong name
# does not.
_MAX_PICTURE_BYTES = 1 << 30
_MAX_DEFLATE = 1032  # bytes out of one byte, at best
# IMREAD_UNCHANGED would differ in ignoring the camera's mark: telephones' photos lay on a side.
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR


class UnknownColors(UserError):
    """A label has colours of no class.

    Attributes:
        pixels (dict): {(r, g, b): number of pixels}.
    """

    def __init__(self, sentence: str, pixels: dict[tuple[int, int, int], int]):
        super().__init__(sentence)
        self.pixels = pixels


def read_pointer_file(path: str, key: str = "image pointer") -> list[str]:
    """The image file names of a list, one a line; blank lines are skipped.

    Args:
        path: the list.
        key: what the configuration calls it, for messages.

    Raises:
        UserError: the list cannot be read, is empty, or a name in it leaves the image folder.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_POINTER_BYTES + 1)
        if len(content) > _MAX_POINTER_BYTES:
            raise UserError(
                f"{key}: {path} is larger than 256 MiB; this is no list of images"
            )
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise UserError(f"{key}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{key}: {path} is not a text file in UTF-8") from None
    names = [line for line in lines if line]
    if not names:
        raise UserError(f"{key}: {path} is empty; write one image file name a line")
    for name in names:
        _refuse_outside(path, lines, name)
    return names


def _refuse_outside(path: str, lines: list[str], name: str) -> None:
    if re.search(
        r"[\0-\x1f\x7f-\x9f]", name
    ):  # it is printed, and could rule the screen
        raise UserError(
            f"{path}, line {lines.index(name) + 1}: {name[:200]!r} holds a control character"
        )
    inside = os.path.normpath(name)
    if os.path.isabs(name) or inside.split(os.sep)[0] == os.pardir:
        raise UserError(
            f"{path}, line {lines.index(name) + 1}: {name[:200]!r} leaves the image folder; "
            "names are relative to image_dir_path"
        )


def label_path(image_path: str) -> str:
    """The label of an image: ``NAME_L.png``, or the book's ``NAME_L.npz``.

    Raises:
        UserError: neither exists.
    """
    stem = os.path.splitext(image_path)[0] + "_L"
    for path in (f"{stem}.png", f"{stem}.npz"):
        if os.path.isfile(path):
            return path
    raise UserError(f"{stem}.png: no such label (nor {os.path.basename(stem)}.npz)")


def refuse_missing(image_path: str) -> None:
    """Raise a UserError where an image file does not exist."""
    if not os.path.isfile(image_path):
        raise UserError(f"{image_path}: no such image file")


def read_picture(path: str) -> np.ndarray:
    """Decode an image file as it is.

    Returns:
        ndarray: uint8 or uint16, (H, W) or (H, W, 3) in RGB; an alpha channel is dropped, and a
        photo that its camera marked as turned stands upright.

    Raises:
        UserError: no such file, or nothing that OpenCV can decode.
    """
    refuse_missing(path)
    try:
        if os.path.getsize(path) > _MAX_PICTURE_BYTES:
            raise UserError(f"{path}: larger than 1 GiB; this is no image")
        content = np.fromfile(path, np.uint8)
        _refuse_impossible_png(path, content)
        whole = content.size and not _is_cut_jpeg(content)
        picture = cv2.imdecode(content, _AS_STORED) if whole else None
    except OSError as error:
        raise UserError(f"{path}: cannot read the image: {error.strerror}") from None
    except (cv2.error, MemoryError):  # for instance more pixels than opencv.py allows
        picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{path}: not an image that OpenCV can decode; is the file complete (and no larger "
            f"than {MAX_PIXELS:,} pixels)?"
        )
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _is_cut_jpeg(file: np.ndarray) -> bool:
    """Whether a JPEG file ends in the middle; OpenCV would fill the rest with grey."""
    if file[:2].tobytes() != b"\xff\xd8":
        return False
    content = file.tobytes()
    position = 2
    # Segments up to the scan, each with its length; a thumbnail in one has an end of its own.
    while content[position : position + 1] == b"\xff":
        if content[position + 1 : position + 2] == b"\xda":
            return content.find(b"\xff\xd9", position) < 0
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        position += 2 + max(length, 1)
    return position >= len(content)


def _refuse_impossible_png(path: str, content: np.ndarray) -> None:
    """Save the memory for what a PNG claims and so few bytes cannot hold.

    OpenCV 4.11 makes room for a chunk of any size, 4 GiB at most, before it looks for its end,
    and for all pixels before it decodes the first.
    """
    if content[:8].tobytes() != b"\x89PNG\r\n\x1a\n":
        return
    place, kind = 8, b""
    while kind != b"IEND" and place < content.size:
        kind = content[place + 4 : place + 8].tobytes()
        place += 12 + int.from_bytes(content[place : place + 4].tobytes(), "big")
    if kind != b"IEND" or place > content.size or content.size < 33:
        raise UserError(
            f"{path}: not an image that OpenCV can decode: it is cut short or damaged"
        )
    width, height, depth, colors = struct.unpack(">2I2B", content[16:26])
    # Samples a pixel by kind of colour: grey, -, RGB, palette, grey and alpha, -, RGB and alpha.
    bits = width * height * depth * (1, 1, 3, 1, 2, 1, 4)[min(colors, 6)]
    if bits > 8 * content.size * _MAX_DEFLATE:
        raise UserError(
            f"{path}: not an image that OpenCV can decode: its {content.size} bytes cannot hold "
            f"the {width} x {height} pixels that it claims"
        )


def read_image(path: str, in_ch: int) -> np.ndarray:
    """An image for the network.

    Args:
        path: any file that OpenCV decodes; 16-bit grey levels are scaled to 8 bits.
        in_ch: 3 or 1, the channels it must have.

    Returns:
        ndarray: uint8 (H, W, in_ch), RGB if in_ch is 3.

    Raises:
        UserError: as read_picture(), and where the file has another number of channels.
    """
    image = read_any_image(path)
    if image.shape[2] != in_ch:
        kind = "grey" if image.shape[2] == 1 else "a colour image"
        raise UserError(
            f"in_ch: {in_ch} disagrees with {path}, which is {kind}; "
            f"set in_ch: {image.shape[2]}, or convert the images"
        )
    return image


def read_any_image(path: str) -> np.ndarray:
    """As read_image(), but with the channels that the file has: uint8 (H, W, 3 or 1)."""
    return _eight_bits(np.atleast_3d(read_picture(path)))


def as_channels(image: np.ndarray, in_ch: int) -> np.ndarray:
    """uint8 (H, W, C) with C 3 (RGB) or 1 -> uint8 (H, W, in_ch)."""
    if image.shape[2] == in_ch:
        return image
    code = cv2.COLOR_GRAY2RGB if in_ch == 3 else cv2.COLOR_RGB2GRAY
    return np.atleast_3d(cv2.cvtColor(image, code))


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else (image // 257).astype(np.uint8)


def read_label(path: str, table: LabelTable, size: tuple[int, int]) -> np.ndarray:
    """The label of an image, from a colour PNG, an index PNG or the book's npz.

    Args:
        path: the label file.
        table: the classes and their colours.
        size: (H, W) of the image.

    Returns:
        ndarray: int16 (H, W), values in [-1, n_class); -1 where the class is ignored.

    Raises:
        UserError: the label is broken, of another size, or has a colour or number of no class.
    """
    if path.endswith(".npz"):
        label = _read_npz_label(path, size)
    else:
        label = read_picture(path)
        _refuse_other_size(path, label.shape, size)
    if label.ndim == 3:
        return _classes_of_colors(path, label, table)
    _refuse_numbers_outside(path, label, table)
    return table.hide_ignored(label.astype(np.int16))


def _refuse_other_size(path: str, shape: tuple, size: tuple[int, int]) -> None:
    if shape[:2] != tuple(size):
        raise UserError(
            f"{path}: the label is {shape[1]} x {shape[0]} pixels, "
            f"its image {size[1]} x {size[0]} (width x height)"
        )


def _classes_of_colors(path: str, label: np.ndarray, table: LabelTable) -> np.ndarray:
    if label.dtype != np.uint8:
        raise UserError(f"{path}: a colour label must have 8 bits a channel")
    classes, unknown = table.classes_of_colors(label)
    if unknown:
        (color, pixels), *others = sorted(unknown.items(), key=lambda item: -item[1])
        more = f" (and {len(others)} more unknown colours)" if others else ""
        raise UnknownColors(
            f"{path}: the colour {color[0]},{color[1]},{color[2]} of {pixels} pixels{more} is in "
            f"no row of {table.path}; add the row, or save the label without smoothing (PNG)",
            unknown,
        )
    return classes


def _refuse_numbers_outside(path: str, label: np.ndarray, table: LabelTable) -> None:
    lowest, highest = int(label.min()), int(label.max())
    outside = highest if highest >= len(table) else lowest if lowest < -1 else None
    if outside is not None:
        raise UserError(
            f"{path}: class number {outside} of {int((label == outside).sum())} pixels is outside "
            f"the table {table.path}, which has the classes 0 to {len(table) - 1}"
        )


def _read_npz_label(path: str, size: tuple[int, int]) -> np.ndarray:
    def check(stored: Shapes) -> None:
        if "data" not in stored:
            raise UserError(f"{path}: no array 'data' in it, as the book's labels have")
        shape, dtype = stored["data"]
        if len(shape) != 2 or dtype.kind not in "iu":
            raise UserError(
                f"{path}: 'data' must be (H, W) whole numbers, not {shape} {dtype}"
            )
        _refuse_other_size(path, shape, size)

    return read_npz(path, "label", _MAX_PICTURE_BYTES, check, ["data"])["data"]
