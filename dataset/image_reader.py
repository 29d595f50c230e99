"""Reads what a user's folder holds: the list of images, an image, a label.

The loader, predict.py and data_check.py read with it.
"""

import os
import threading
from contextlib import nullcontext

import numpy as np

from dataset.label_table import LabelTable
from dataset.picture_header import FORMATS, checked_picture
from files.errors import UserError, has_control_characters
from files.npz_reader import Shapes, read_npz
from files.opencv import cv2
from files.text_file import read_text

_MAX_LIST_BYTES = 1 << 27
_MAX_LIST_NAMES = 4_000_000  # a million take about 150 MB
_MAX_PICTURE_BYTES = 1 << 30
# IMREAD_UNCHANGED would not turn the photos that a telephone marked as lying on a side.
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
# Pairs above this many pixels are read one at a time, however many loader_jobs there are.
_LARGE_PIXELS = 1 << 22
_large = threading.Lock()


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
    text = (
        read_text(path, key, _MAX_LIST_BYTES).replace("\r\n", "\n").replace("\r", "\n")
    )
    if text.count("\n") > _MAX_LIST_NAMES:
        raise UserError(f"{key}: {path} has more than {_MAX_LIST_NAMES:,} lines")
    names = []
    for number, line in enumerate(text.split("\n"), 1):
        if name := line.strip():
            problem = _problem_of_name(name)
            if problem:
                raise UserError(f"{path}, line {number}: {name[:200]!r} {problem}")
            names.append(name)
    if not names:
        raise UserError(f"{key}: {path} is empty; write one image file name a line")
    return names


def _problem_of_name(name: str) -> str | None:
    if has_control_characters(name):
        return "holds a control character"
    # Only ".." can lead upwards; normpath for each of a million names takes seconds.
    upwards = ".." in name and os.path.normpath(name).split(os.sep)[0] == os.pardir
    # Not isabs(): on Windows, C:a.png and /a.png leave the folder, but are no absolute paths.
    if upwards or name[0] in ("/", os.sep) or os.path.splitdrive(name)[0]:
        return "leaves the image folder; names are relative to image_dir_path"
    return None


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
        wrong_separator = os.sep == "/" and "\\" in image_path
        advice = "; write / between folders, not \\" if wrong_separator else ""
        raise UserError(f"{image_path}: no such image file{advice}")


def read_picture(path: str) -> np.ndarray:
    """Decode an image file as it is.

    Args:
        path: a PNG, JPEG, BMP, TIFF, WebP or PNM file; another ending does no harm.

    Returns:
        ndarray: uint8 or uint16, (H, W) or (H, W, 3) in RGB; an alpha channel is dropped, and a
        photo that its camera marked as turned stands upright.

    Raises:
        UserError: no such file, or nothing that can be decoded; see checked_picture().
    """
    return _decode(path, _checked_content(path)[0])


def _checked_content(path: str) -> tuple[bytes, int]:
    """The bytes of an image file, and its number of pixels."""
    refuse_missing(path)
    try:
        if os.path.getsize(path) > _MAX_PICTURE_BYTES:
            raise UserError(f"{path}: larger than 1 GiB; this is no image")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot read the image: {error.strerror}") from None
    return checked_picture(path, content)


def _decode(path: str, content: bytes) -> np.ndarray:
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{path}: not an image that can be read ({FORMATS}, 8 or 16 bits a channel); "
            "is the file complete?"
        )
    if picture.ndim == 2:
        return picture
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, picture)  # in its own memory


def read_pair(
    path: str, in_ch: int, table: LabelTable
) -> tuple[np.ndarray, np.ndarray]:
    """An image and its label: read_image() and read_label() of label_path().

    Threads read large pairs one after the other: decoding takes 20 bytes a pixel for a moment.

    Returns:
        tuple: uint8 (H, W, in_ch); int16 (H, W).

    Raises:
        UserError: as these.
    """
    content, pixels = _checked_content(path)
    with _large if pixels > _LARGE_PIXELS else nullcontext():
        image = _with_channels(path, _decode(path, content), in_ch)
        return image, read_label(label_path(path), table, image.shape[:2])


def read_image(path: str, in_ch: int) -> np.ndarray:
    """An image for the network.

    Args:
        path: as for read_picture(); 16-bit levels are scaled to 8 bits.
        in_ch: 3 or 1, the channels it must have.

    Returns:
        ndarray: uint8 (H, W, in_ch), RGB if in_ch is 3.

    Raises:
        UserError: as read_picture(), and where the file has another number of channels.
    """
    return _with_channels(path, read_picture(path), in_ch)


def _with_channels(path: str, picture: np.ndarray, in_ch: int) -> np.ndarray:
    image = _eight_bits(np.atleast_3d(picture))
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
