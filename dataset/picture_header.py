"""Checks the header of a picture file before OpenCV decodes it; called by image_reader.

OpenCV takes memory for whatever size a header claims, and some of its decoders had faults that
let a file write outside of it. Only the six formats that training folders hold reach a decoder;
animations do not. What two readers would understand in two ways is refused: else a file could claim a
small size here, and a large one to the decoder.
"""

import io
import math
import re
import struct
import warnings
from collections.abc import Iterator

from PIL import Image

from files.errors import UserError
from files.opencv import LIMIT_NAME, MAX_PIXELS

FORMATS = "PNG, JPEG, BMP, TIFF, WebP or PNM"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Pillow reads the size, and would print what it thinks of the rest of the file.
warnings.filterwarnings("ignore", module="PIL")

_MAX_DEFLATE = 1032  # bytes that one byte of a PNG unpacks to, at most
# Pixels that one byte of another format holds, at most: a JPEG needs one bit for 8 x 8 pixels.
# WebP and TIFF can store a picture of one colour in less; such a picture is refused.
_PIXELS_A_BYTE = 512
_ALWAYS_ALLOWED = 1 << 20  # pixels, whatever the length of the file
_MAX_SCANS = 64  # of a JPEG; cameras write 1, progressive files about 10
# Markers of a JPEG's frame header. Baseline, extended and progressive are read; lossless,
# hierarchical and arithmetic coding are not.
_PROGRESSIVE = 0xC2
_FRAMES = {0xC0, 0xC1, _PROGRESSIVE}
_OTHER_FRAMES = set(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}  # these three are tables
# Markers that stand alone, without a length. They have no place before the first scan.
_ALONE = {0x00, 0x01, *range(0xD0, 0xDA)}
# Tags of a TIFF: ImageWidth, ImageLength, TileWidth, TileLength; each is a SHORT or a LONG.
_TIFF_SIDES = 256, 257, 322, 323
_TIFF_TYPES = {3: "H", 4: "I"}


class _Unusable(Exception):
    """Why a picture file is not decoded."""


def checked_picture(
    path: str, content: bytes, with_gif: bool = False
) -> tuple[bytes, tuple[int, int]]:
    """Make sure that a picture file can be decoded in bounded memory.

    Args:
        path: the file, for messages.
        content: all of its bytes.
        with_gif: whether a GIF is read, too, by Pillow: labels are, photos are not.

    Returns:
        tuple: the bytes to decode; and the (H, W) that memory is needed for, as the file has it: of
        a photo that is to be turned before it is, and of a TIFF with a tile larger than the picture,
        the tile's.

    Raises:
        UserError: it is of no format that is read here, damaged, animated, or claims more
            pixels than are allowed or than its bytes can hold.
    """
    most = _ALWAYS_ALLOWED + _PIXELS_A_BYTE * len(content)
    try:
        if content.startswith(_PNG_START):
            width, height, most = _size_of_png(content)
        elif content.startswith(b"\xff\xd8"):
            content, width, height = _checked_jpeg(content)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            width, height = _size_of_webp(content)
        elif content.startswith((b"II*\0", b"MM\0*")):
            width, height = _size_of_tiff(content)
        elif with_gif and content.startswith((b"GIF87a", b"GIF89a")):
            width, height = _size_of_gif(content)
        else:
            width, height = _size_by_pillow(content)
    except _Unusable as error:
        raise UserError(f"{path}: not an image that can be read: {error}") from None
    pixels = width * height
    if pixels > most:
        raise UserError(
            f"{path}: not an image that can be read: its {len(content)} bytes cannot hold "
            f"the {width} x {height} pixels that it claims"
        )
    if pixels > MAX_PIXELS:
        raise UserError(
            f"{path}: {width} x {height} pixels; at most {MAX_PIXELS:,} are read. Make the image "
            f"smaller, or allow more with the environment variable {LIMIT_NAME}"
        )
    return content, (height, width)


def _size_of_png(content: bytes) -> tuple[int, int, int]:
    """Width, height, and the number of pixels that the file can hold at most."""
    kinds = list(_png_chunks(content))
    if kinds[0] != b"IHDR":
        raise _Unusable("its first chunk is no header")
    # OpenCV 4.11 writes outside of its memory for some orders of these.
    if {b"acTL", b"fcTL", b"fdAT"} & set(kinds):
        raise _Unusable("it is an animation; save a single picture")
    width, height, depth, colors = struct.unpack_from(">2I2B", content, 16)
    # Samples a pixel by kind of colour: grey, -, RGB, palette, grey and alpha, -, RGB and alpha.
    bits = depth * (1, 1, 3, 1, 2, 1, 4)[min(colors, 6)]
    return width, height, 8 * len(content) * _MAX_DEFLATE // max(bits, 1)


def _png_chunks(content: bytes) -> Iterator[bytes]:
    """The kinds of all chunks; each must lie within the file, and IEND must be there."""
    place, kind = len(_PNG_START), b""
    while kind != b"IEND":
        start = content[place : place + 8].ljust(8, b"\xff")
        length, kind = struct.unpack(">I4s", start)
        place += 12 + length
        # OpenCV makes room for a chunk of any length, 2 GiB at most, before it reads it.
        if place > len(content):
            raise _Unusable("it is cut short or damaged")
        yield kind


def _checked_jpeg(content: bytes) -> tuple[bytes, int, int]:
    """The bytes to decode, width and height."""
    place, frame = 2, None
    while content[place : place + 2] != b"\xff\xda":  # start of scan
        if place + 4 > len(content) or content[place] != 0xFF:
            raise _Unusable("it is cut short or damaged")
        kind = content[place + 1]
        if kind in _ALONE:
            raise _Unusable("it is cut short or damaged")
        if kind in _OTHER_FRAMES:
            raise _Unusable(
                "it is no baseline or progressive JPEG; save it as one of them"
            )
        if kind in _FRAMES and place + 9 <= len(content):
            frame = kind, *struct.unpack_from(">2H", content, place + 5)
        if kind == 0xFF:  # a byte to fill up with
            place += 1
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    # In a scan, FF is followed by 00 or the number of a restart: FFD9 is the end.
    end = content.find(b"\xff\xd9", place)
    if frame is None or end < 0:
        raise _Unusable("it is cut short or damaged")
    scans = content.count(b"\xff\xda", place, end)
    if scans > _MAX_SCANS:
        raise _Unusable(f"it has {scans:,} scans; save it anew")
    kind, height, width = frame
    if kind == _PROGRESSIVE and not _is_refined(content[place:end]):
        raise _Unusable("it is cut short: its last scans are missing")
    if kind == _PROGRESSIVE or scans > 1:
        return content[: end + 2], width, height
    # Of a file that was cut and given an end marker, libjpeg fills the rest with grey. Without the
    # marker it asks for more bytes, and OpenCV reports the file as cut. A whole file needs none of
    # them, but libjpeg reads up to eight bytes ahead.
    return content[:end] + bytes(8), width, height


def _is_refined(scans: bytes) -> bool:
    """Whether the scans of a progressive JPEG bring all 64 coefficients down to the last bit.

    Each scan sends a band of coefficients of some components, down to a bit (ITU-T T.81, B.2.3).
    """
    bits: dict[tuple[int, int], int] = {}
    for header in scans.split(b"\xff\xda")[1:]:
        number = header[2] if len(header) > 2 else 0
        if len(header) < 6 + 2 * number:
            return False
        components = header[3 : 3 + 2 * number : 2]
        first, last, precision = header[3 + 2 * number : 6 + 2 * number]
        for component in components:
            for coefficient in range(first, min(last, 63) + 1):
                bits[component, coefficient] = precision & 15
    complete = len(bits) == 64 * len({component for component, _ in bits})
    return bool(bits) and complete and not any(bits.values())


def _size_of_webp(content: bytes) -> tuple[int, int]:
    """Width and height of a WebP file by its first chunk (RFC 9649, sections 2.5 to 2.7).

    Not by Pillow, which makes room for all pixels when it opens a file: 2 GB for 884 bytes.
    """
    kind, header = content[12:16], content[20:30].ljust(10, b"\0")
    if kind == b"VP8X":  # the canvas: 24 bits each, less one
        if header[0] & 2:
            raise _Unusable("it is an animation; save a single picture")
        width, height = (int.from_bytes(header[i : i + 3], "little") for i in (4, 7))
        return width + 1, height + 1
    if kind == b"VP8L" and header[0] == 0x2F:  # 14 bits each, less one
        bits = int.from_bytes(header[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and header[3:6] == b"\x9d\x01\x2a":  # 14 bits, and 2 of scaling
        width, height = struct.unpack("<2H", header[6:])
        return width & 0x3FFF, height & 0x3FFF
    raise _Unusable("its header is damaged")


def _size_of_gif(content: bytes) -> tuple[int, int]:
    """Width and height of a GIF of one picture (GIF89a specification, sections 17 to 25)."""

    def end_of_blocks(place: int) -> int:
        while place < len(content) and content[place]:
            place += 1 + content[place]
        if place >= len(content):
            raise _Unusable("it is cut short or damaged")
        return place + 1

    def size_of_colors(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    header = content.ljust(13, b"\0")
    place, pictures = 13 + size_of_colors(header[10]), 0
    width, height = struct.unpack_from("<2H", header, 6)
    while content[place : place + 1] != b";":
        kind = content[place : place + 1]
        if kind == b"!":  # an extension
            place = end_of_blocks(place + 2)
        elif kind == b"," and place + 10 < len(content):  # a picture
            pictures += 1
            # Pillow makes the screen as large as the picture reaches.
            left, top, columns, rows = struct.unpack_from("<4H", content, place + 1)
            width, height = max(width, left + columns), max(height, top + rows)
            place = end_of_blocks(place + 11 + size_of_colors(content[place + 9]))
        else:
            raise _Unusable("it is cut short or damaged")
    if pictures != 1:
        raise _Unusable(f"a GIF of {pictures:,} pictures; save a single one")
    return width, height


def _size_of_tiff(content: bytes) -> tuple[int, int]:
    """Width and height of the first picture in a TIFF file (TIFF 6.0, section 2), or of its tiles.

    OpenCV makes room for a whole tile, and tiles may be larger than the picture.
    """
    order = "<" if content.startswith(b"II") else ">"
    sides: dict[int, int] = {}
    try:
        (place,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, place)
        for start in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(f"{order}2HI", content, start)
            if tag in _TIFF_SIDES:
                if tag in sides or number != 1:
                    raise _Unusable("its header is damaged")
                side = f"{order}{_TIFF_TYPES[kind]}"
                (sides[tag],) = struct.unpack_from(side, content, start + 8)
        width, height, *tile = (sides.get(tag, 0) for tag in _TIFF_SIDES)
    except (struct.error, KeyError):
        raise _Unusable("its header is damaged") from None
    if not width or not height:
        raise _Unusable("its header is damaged")
    return (width, height) if width * height > math.prod(tile) else tuple(tile)


def _size_by_pillow(content: bytes) -> tuple[int, int]:
    """Width and height of a BMP or PNM file."""
    # "P7" and "Pf" are other formats of the family.
    if re.match(rb"BM|P[1-6]\s", content) is None:
        raise _Unusable(f"it is no {FORMATS} file")
    try:
        file = io.BytesIO(content)
        with Image.open(file, formats=("BMP", "PPM")) as image:
            return image.size
    # Pillow raises more than ten kinds on bytes that were changed at random.
    except Exception:  # noqa: BLE001
        raise _Unusable("its header is damaged") from None
