"""Real pictures of many formats, and the same with fields of their headers changed.

test_picture_fuzz.py feeds them to the reader.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

_PNG_START = b"\x89PNG\r\n\x1a\n"
_HEADER = 64  # bytes of an unknown format that count as its header


def _pixels(*channels: int) -> np.ndarray:
    """A picture with flat, smooth and noisy parts: uint8 (48, 64, ...)."""
    rng = np.random.default_rng(3)
    picture = np.full((48, 64, *channels), 90, np.uint8)
    picture[16:32] = np.linspace(0, 255, 64).reshape(64, *(1 for _ in channels))
    picture[32:] = rng.integers(0, 256, (16, 64, *channels))
    return picture


def _saved(kind: str, image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    return exif


def _animated_png() -> bytes:
    frames = [Image.fromarray(_pixels(3) // n) for n in (1, 2)]
    return _saved("PNG", frames[0], save_all=True, append_images=frames[1:])


def _interlaced_png() -> bytes:
    """Adam7: seven small pictures in one, here all of value 0."""
    passes = b"".join(
        (1 + -(-(8 - left) // across)) * b"\0" * -(-(8 - top) // down)
        for left, top, across, down in (
            *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
            *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
        )
    )
    header = struct.pack(">2I5B", 8, 8, 8, 0, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(passes)), (b"IEND", b"")]
    return _png(chunks)


def _netpbm(kind: bytes) -> bytes:
    """P1 to P6: bits, grey or RGB, as text or as bytes."""
    picture = _pixels(3) if kind in (b"P3", b"P6") else _pixels()
    head = kind + b"\n# made for a test\n64 48\n"
    if kind in (b"P1", b"P4"):
        bits = picture > 90
        text = b" ".join(b"%d" % bit for bit in bits.ravel())
        return head + (text if kind == b"P1" else np.packbits(bits, 1).tobytes())
    text = b" ".join(b"%d" % value for value in picture.ravel())
    return head + b"255\n" + (text if kind in (b"P2", b"P3") else picture.tobytes())


def seeds() -> dict[str, list[bytes]]:
    """Good files by format: those that are read, and some that are refused."""
    rgb, grey = Image.fromarray(_pixels(3)), Image.fromarray(_pixels())
    rgba = Image.fromarray(_pixels(4))
    deep = Image.fromarray(_pixels().astype(np.uint16) * 257)
    palette = rgb.quantize(16)
    bits = grey.convert("1")
    return {
        "PNG": [
            *(_saved("PNG", i) for i in (rgb, grey, rgba, deep, palette, bits)),
            _interlaced_png(),
        ],
        "animated PNG": [_animated_png()],
        "JPEG": [
            _saved("JPEG", rgb),
            _saved("JPEG", grey, exif=_exif(6)),
            _saved("JPEG", rgb, restart_marker_blocks=3, subsampling=0),
            _saved("JPEG", rgb.convert("CMYK")),
        ],
        "progressive JPEG": [_saved("JPEG", i, progressive=True) for i in (rgb, grey)],
        "BMP": [_saved("BMP", i) for i in (rgb, grey, rgba, palette, bits)],
        "TIFF": [_saved("TIFF", i) for i in (rgb, grey, rgba, deep, palette, bits)],
        "packed TIFF": [
            _saved("TIFF", rgb, compression=name)
            for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        ]
        + [_saved("TIFF", bits, compression="group4")],
        "WebP": [_saved("WEBP", rgb), _saved("WEBP", rgba, exif=_exif(3))],
        "lossless WebP": [_saved("WEBP", i, lossless=True) for i in (rgb, rgba)],
        "PNM": [_netpbm(b"P%d" % number) for number in range(1, 7)],
        "GIF": [_saved("GIF", palette)],
        "JPEG 2000": [_saved("JPEG2000", rgb)],
        "AVIF": [_saved("AVIF", rgb)],
    }


def mutations(kind: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """Files of a format with one to four changes in their headers, always the same ones."""
    rng = np.random.default_rng([seed, *kind.encode()])
    good = seeds()[kind]
    for number in range(count):
        content = good[number % len(good)]
        for _ in range(rng.integers(1, 5)):
            content = _changed(content, rng)
        yield content


def _changed(content: bytes, rng: np.random.Generator) -> bytes:
    for start, change in _CHANGES.items():
        if content.startswith(start):
            return change(content, rng)
    return _change_field(content, [(i, 4) for i in range(_HEADER)], rng)


def _change_field(content: bytes, fields: list[tuple[int, int]], rng) -> bytes:
    """Another number in one of the fields (place, bytes), in either order of the bytes."""
    fields = [(place, size) for place, size in fields if place + size <= len(content)]
    if not fields:
        return content
    place, size = fields[rng.integers(len(fields))]
    order = ("big", "little")[rng.integers(2)]
    number = _another(int.from_bytes(content[place : place + size], order), size, rng)
    return content[:place] + number.to_bytes(size, order) + content[place + size :]


def _another(number: int, size: int, rng) -> int:
    """A neighbour, a multiple, an extreme, or any number of so many bytes."""
    largest = 256**size - 1
    wanted = (
        *(0, 1, 2, 3, number + 1, number - 1, 2 * number, number // 2),
        *(largest, largest - 1, largest // 2, largest // 2 + 1, number ^ 1 << 7),
        *(int(rng.integers(0, 256)), int(rng.integers(0, largest, endpoint=True))),
        int(rng.integers(0, 1 << 16)),
    )
    return max(wanted[rng.integers(len(wanted))], 0) & largest


def _shuffled(parts: list, rng) -> list:
    """Parts of a file with one of them left out, doubled, or moved."""
    parts = list(parts)
    if len(parts) < 2:
        return parts
    part = parts.pop(rng.integers(len(parts)))
    for _ in range(rng.integers(3)):
        parts.insert(rng.integers(len(parts) + 1), part)
    return parts


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return _PNG_START + b"".join(
        struct.pack(">I", len(data)) + kind + data + _crc(kind + data)
        for kind, data in chunks
    )


def _crc(content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content))


_PNG_KINDS = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sBIT", b"bKGD"),
    *(b"acTL", b"fcTL", b"fdAT", b"eXIf", b"iCCP", b"zTXt", b"hIST", b"sPLT", b"pHYs"),
)


def _change_png(content: bytes, rng) -> bytes:
    """Chunks moved, renamed, with other values; their checksums are right again mostly."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        chunks.append((kind, content[place + 8 : place + 8 + length]))
        place += 12 + length
    action = rng.integers(8)
    if action == 0:
        return _png(_shuffled(chunks, rng))
    if action == 1:  # a length that is wrong
        starts = [match.start() - 4 for match in re.finditer(b"I[HDE]", content)]
        return _change_field(content, [(max(start, 8), 4) for start in starts], rng)
    if not chunks:
        return content
    chosen = rng.integers(len(chunks)) if action > 4 else 0
    kind, data = chunks[chosen]
    if action == 2:
        number = rng.integers(len(chunks) + 1)
        data = bytes(rng.integers(0, 9, rng.choice([0, 4, 8, 13, 26]), np.uint8))
        chunks.insert(number, (_PNG_KINDS[rng.integers(len(_PNG_KINDS))], data))
    elif action == 3:
        chunks[chosen] = (_PNG_KINDS[rng.integers(len(_PNG_KINDS))], data)
    elif action == 4:  # width and height, or depth, kind of colour, packing
        fields = [(0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)]
        chunks[chosen] = kind, _change_field(data, fields, rng)
    elif kind == b"IDAT" and action == 5:
        chunks[chosen] = kind, data[: rng.integers(len(data) + 1)]
    else:
        fields = [(i, size) for size in (1, 2, 4) for i in range(min(len(data), 40))]
        chunks[chosen] = kind, _change_field(data, fields, rng)
    return _png(chunks)


def _change_jpeg(content: bytes, rng) -> bytes:
    """Segments moved, with other lengths, sizes, tables; markers put into the scan."""
    segments, place = [], 2
    while content[place : place + 1] == b"\xff" and place + 4 <= len(content):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segments.append(content[place:end])
        place = end
        if segments[-1][1:2] == b"\xda":
            break
    scan = content[place:]
    action = rng.integers(6)
    if action == 0:
        segments = _shuffled(segments, rng)
    elif action == 1 and scan:  # restarts, ends, other frames in the middle of the scan
        marker = b"\xff" + bytes([rng.choice([0xD0, 0xD3, 0xD7, 0xD8, 0xD9, 0xC4, 0])])
        where = rng.integers(len(scan))
        scan = scan[:where] + marker + scan[where + rng.integers(3) :]
    elif action == 2 and scan:
        scan = scan[: rng.integers(len(scan))] + b"\xff\xd9" * rng.integers(2)
    elif segments:
        chosen = rng.integers(len(segments))
        segment = segments[chosen]
        fields = [(1, 1), (2, 2)]
        fields += [
            (i, size) for size in (1, 2) for i in range(4, min(len(segment), 40))
        ]
        segments[chosen] = _change_field(segment, fields, rng)
    return content[:2] + b"".join(segments) + scan


def _change_tiff(content: bytes, rng) -> bytes:
    """Tag, type, count or value of an entry of the first directory; or where that lies."""
    order = "little" if content.startswith(b"II") else "big"
    place = int.from_bytes(content[4:8], order)
    entries = min(int.from_bytes(content[place : place + 2], order), 40)
    fields = [(2, 2), (4, 4), (place, 2), (place + 2 + 12 * entries, 4)]
    for entry in range(place + 2, place + 2 + 12 * entries, 12):
        fields += [(entry, 2), (entry + 2, 2), (entry + 4, 4), (entry + 8, 4)] * 2
        fields += [(entry + 8, 2)]
    return _change_field(content, fields, rng)


def _change_webp(content: bytes, rng) -> bytes:
    """Names, lengths and starts of RIFF chunks; chunks moved."""
    chunks, place = [], 12
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        chunks.append(content[place : place + 8 + length + length % 2])
        place += 8 + length + length % 2
    action = rng.integers(6)
    if action == 0 or not chunks:
        return _change_field(content, [(0, 4), (4, 4), (8, 4)], rng)
    if action == 1:
        return content[:12] + b"".join(_shuffled(chunks, rng))
    chosen = rng.integers(len(chunks))
    chunk = chunks[chosen]
    if action == 2:
        names = b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP"
        chunks[chosen] = names[rng.integers(len(names))] + chunk[4:]
    else:
        fields = [(4, 4)]
        fields += [(i, s) for s in (1, 2, 3, 4) for i in range(8, min(len(chunk), 40))]
        chunks[chosen] = _change_field(chunk, fields, rng)
    return content[:12] + b"".join(chunks)


def _change_bmp(content: bytes, rng) -> bytes:
    # Where the pixels lie, and the header: its size, width, height, planes, bits, packing...
    fields = [(2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4)]
    fields += [(34, 4), (46, 4), (50, 4), (54, 4), (18, 2), (22, 2)]
    return _change_field(content, fields, rng)


def _change_netpbm(content: bytes, rng) -> bytes:
    """Another letter, size, or largest value; a comment; a cut."""
    tokens = list(re.finditer(rb"#.*|\S+", content[:_HEADER]))[:5]
    token = tokens[rng.integers(len(tokens))] if tokens else None
    if token is None:
        return content
    numbers = b"0 1 2 7 63 65 -1 255 256 65535 65536 99999 2147483647 4294967296 1e3 x"
    words = [
        *numbers.split(),
        b"P1",
        b"P3",
        b"P4",
        b"P5",
        b"P6",
        b"P7",
        b"PF",
        b"#",
        b"",
    ]
    word = words[rng.integers(len(words))]
    return content[: token.start()] + word + content[token.end() :]


_CHANGES: dict[bytes, Callable] = {
    _PNG_START: _change_png,
    b"\xff\xd8": _change_jpeg,
    b"II*\0": _change_tiff,
    b"MM\0*": _change_tiff,
    b"RIFF": _change_webp,
    b"BM": _change_bmp,
    b"P": _change_netpbm,
}
