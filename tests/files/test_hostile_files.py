"""Files made to run code or to fill the memory: an error, and neither happens."""

import io
import os
import pickle
import struct
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chainer_compat

import chainer
import numpy as np
import pytest
from tiny_run import peak_memory

from config import load_config
from dataset.image_reader import read_picture
from dataset.label_reader import read_label
from dataset.label_table import read_label_table
from dataset.list_reader import read_list
from dataset.pair_reader import read_pair
from files.errors import UserError
from files.npz_reader import read_npz
from files.opencv import cv2
from files.weights import load_model, save_npz

FEW = 100  # MiB


def error_of(function, *arguments) -> str:
    """The sentence that a function ends with; nothing else may come out of it."""
    try:
        function(*arguments)
    except UserError as error:
        return str(error)
    return "no error"


def small_model() -> chainer.Chain:
    model = chainer.Chain()
    with model.init_scope():
        model.conv1 = chainer.links.Convolution2D(3, 4, 3)
    return model


def load_into_small_model(path: str) -> None:
    load_model(path, small_model())


def npy(array: np.ndarray, header: str | None = None) -> bytes:
    """A member of an .npz file; its description can be replaced."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    if header is None:
        return file.getvalue()
    data = file.getvalue()[10 + struct.unpack("<H", file.getvalue()[8:10])[0] :]
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data
    )


def write_zip(path: Path, members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return str(path)


def write_packed(
    path: Path, name: str, start: bytes, mebibytes: int, size: int
) -> None:
    """An archive of one member that starts with some bytes, goes on with zeros and claims a size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += zeros * mebibytes + packer.flush()
    common = 20, 0, 8, 0, 33, zlib.crc32(start), len(packed), size, len(name), 0
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *common) + name.encode()
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *common, 0, 0, 0, 0, 0)
    entry += name.encode()
    where = len(local) + len(packed)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), where, 0)
    path.write_bytes(local + packed + entry + end)


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class TestNpz:
    @pytest.mark.parametrize(
        "name", ["conv1/W.npy", "conv1/b.npy", "data.npy", "extra.npy"]
    )
    def test_objects_are_not_unpickled(self, tmp_path, name):
        ran = tmp_path / "ran"
        save_npz(str(tmp_path / "good.npz"), small_model())
        with zipfile.ZipFile(tmp_path / "good.npz") as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        content = npy(np.array([Payload(ran)], dtype=object))
        assert pickle.dumps(Payload(ran))[:8] in content or b"touch" in content
        path = write_zip(tmp_path / "a_L.npz", {**members, name: content})
        assert "could run code" in error_of(load_into_small_model, path)
        assert "could run code" in error_of(read_npz, path, "--resume", 1 << 20)
        assert "could run code" in error_of(read_label, path, None, (2, 2))
        assert not ran.exists()

    @pytest.mark.parametrize(
        ("header", "problem"),
        [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (900000, 900000)}",
                "claims",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,)}",
                "claims",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                "no plain array",
            ),
            (
                "{'descr': 'V999999999', 'fortran_order': False, 'shape': ()}",
                "no plain array",
            ),
            ("{'descr': (), 'fortran_order': False, 'shape': ()}", "no usable"),
            ("(" * 60_000, "no usable"),
        ],
    )
    def test_description_that_claims_too_much(self, tmp_path, header, problem):
        path = write_zip(
            tmp_path / "a.npz", {"conv1/W.npy": npy(np.zeros(4, np.float32), header)}
        )
        message, memory = peak_memory(error_of, load_into_small_model, path)
        assert problem in message
        assert memory < FEW

    @pytest.mark.parametrize(
        ("name", "mebibytes", "problem"),
        [
            ("big", 3000, "that are possible here"),
            ("conv1/W", 900, "claims (0,) float32 in"),
        ],
    )
    def test_bomb_is_not_unpacked(self, tmp_path, name, mebibytes, problem):
        path = tmp_path / "bomb.npz"
        start = npy(np.zeros(0, np.float32))
        write_packed(
            path, f"{name}.npy", start, mebibytes, len(start) + (mebibytes << 20)
        )
        message, memory = peak_memory(error_of, load_into_small_model, str(path))
        assert problem in message
        assert memory < FEW

    def test_bomb_that_lies_about_its_size(self, tmp_path):
        """The directory says 560 bytes, the compressed stream goes on for 3 GiB."""
        path = tmp_path / "lie.npz"
        start = npy(np.zeros((4, 3, 3, 3), np.float32))
        write_packed(path, "conv1/W.npy", start, 3000, len(start))
        message, memory = peak_memory(
            error_of, read_npz, str(path), "--resume", 1 << 30
        )
        assert message == "no error"  # what the directory says was read, and is whole
        assert memory < FEW

    def test_table_of_contents_without_end(self, tmp_path):
        entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, *[0] * 14) + b""
        table = entry * 1_000_000
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, len(table), 0, 0)
        path = tmp_path / "many.npz"
        path.write_bytes(table + end)
        message, memory = peak_memory(error_of, load_into_small_model, str(path))
        assert "table of contents is too large" in message
        assert memory < FEW

    def test_label_larger_than_its_image_is_not_read(self, tmp_path):
        path = str(tmp_path / "a_L.npz")
        np.savez_compressed(path, data=np.zeros((20_000, 20_000), np.int16))
        message, memory = peak_memory(error_of, read_label, path, None, (32, 48))
        assert "the label is 20000 x 20000 pixels, its image 48 x 32" in message
        assert memory < FEW


def png_that_claims(width: int, height: int) -> bytes:
    """A complete PNG of black pixels; a row of zeros is packed a thousandfold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def claiming(ending: str, width: int, height: int) -> bytes:
    """A tiny grey picture whose header claims another size."""
    content = cv2.imencode(f".{ending}", np.zeros((8, 8), np.uint8))[1].tobytes()
    if ending == "bmp":
        return content[:18] + struct.pack("<2i", width, height) + content[26:]
    if ending == "pgm":
        return b"P5 %d %d 255\n" % (width, height) + bytes(64)
    if ending == "tiff":
        file = io.BytesIO(content)
        directory = struct.unpack("<I", content[4:8])[0]
        for number in range(struct.unpack_from("<H", content, directory)[0]):
            place = directory + 2 + 12 * number
            wanted = {256: width, 257: height, 278: height}
            tag = struct.unpack_from("<H", content, place)[0]
            if tag in wanted:
                file.seek(place + 2)
                file.write(struct.pack("<H2I", 4, 1, wanted[tag]))
        return file.getvalue()
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">2H", height, width) + content[place + 4 :]


def read_eight_large_pairs(folder: Path) -> int:
    """Read one pair eight times at once, as data_check.py does; gives the classes found."""
    (folder / "table").write_text("0,0,0,Road\n")
    table = read_label_table(folder / "table")
    for name in ("a.png", "a_L.png"):
        cv2.imwrite(str(folder / name), np.zeros((4096, 4096, 3), np.uint8))

    paths = str(folder / "a.png"), str(folder / "a_L.png")

    def classes(_) -> int:
        return int(read_pair(*paths, 3, table).label.max())

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(classes, range(8)))


def count_names(path: str) -> int:
    return len(read_list(path).images)


class TestPicture:
    @pytest.mark.parametrize("side", [2000, 12_000, 30_000, 60_000, 2**31 - 1])
    def test_png_that_claims_more_than_its_bytes_can_hold(self, tmp_path, side):
        path = tmp_path / "a.png"
        path.write_bytes(png_that_claims(side, side))
        message, memory = peak_memory(error_of, read_picture, str(path))
        assert f"{path}: not an image that can be read: its " in message
        assert f"cannot hold the {side} x {side} pixels" in message
        assert memory < FEW

    def test_png_with_a_chunk_that_claims_gigabytes(self, tmp_path):
        """39 bytes for which OpenCV would take 4 GiB."""
        path = tmp_path / "a.png"
        path.write_bytes(
            png_that_claims(8, 6)[:33] + struct.pack(">I", 2**31 - 1) + b"ab"
        )
        message, memory = peak_memory(error_of, read_picture, str(path))
        assert f"{path}: not an image that can be read: it is cut" in message
        assert memory < FEW

    @pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "pgm"])
    def test_picture_that_is_huge_indeed(self, tmp_path, ending):
        path = tmp_path / f"a.{ending}"
        assert cv2.imwrite(str(path), np.zeros((12_000, 12_000), np.uint8))
        message, memory = peak_memory(error_of, read_picture, str(path))
        assert f"{path}: 12000 x 12000 pixels; at most 33,554,432 are read" in message
        assert "OPENCV_IO_MAX_IMAGE_PIXELS" in message
        assert memory < FEW + path.stat().st_size / 2**20

    @pytest.mark.parametrize("ending", ["bmp", "jpg", "tiff", "pgm"])
    def test_few_bytes_that_claim_many_pixels(self, tmp_path, ending):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(claiming(ending, 5000, 5000))
        message, memory = peak_memory(error_of, read_picture, str(path))
        assert f"{path}: not an image that can be read: its " in message
        assert "bytes cannot hold the 5000 x 5000 pixels" in message
        assert memory < FEW

    def test_jpeg_of_thousands_of_scans(self, tmp_path):
        """Each one goes over all pixels again: 17 s for 55 KB."""
        picture = np.zeros((64, 64), np.uint8)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
        jpeg = jpeg.tobytes()
        scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
        (tmp_path / "a.jpg").write_bytes(jpeg[:-2] + scan * 5000 + b"\xff\xd9")
        message = error_of(read_picture, str(tmp_path / "a.jpg"))
        assert " scans; save it anew" in message

    def test_large_pairs_are_read_one_after_the_other(self, tmp_path):
        """Eight labels of 16 million pixels, at 20 bytes for each at a time, in eight threads."""
        _, memory = peak_memory(read_eight_large_pairs, tmp_path)
        assert memory < 1024

    def test_file_of_many_gigabytes(self, tmp_path):
        path = tmp_path / "a.png"
        path.touch()
        os.truncate(path, 1 << 40)  # without taking room on the disk
        message, memory = peak_memory(error_of, read_picture, str(path))
        assert "larger than 1 GiB" in message
        assert memory < FEW


class TestPointerFile:
    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/passwd",
            "/etc/passwd",
            "a/../../b.png",
            "..",
            "a\0b.png",
            "a\x1b[2J.png",
        ],
    )
    def test_path_that_leaves_the_folder_or_writes_on_the_screen(self, tmp_path, name):
        path = tmp_path / "pointer"
        path.write_text(f"a.png\n{name}\n")
        assert f"{path}, line 2: " in error_of(read_list, str(path))

    def test_link_within_the_folder_may_lead_elsewhere(self, small_data):
        """Who made the folder made the link: lists of links are common."""
        elsewhere = small_data.folder / "elsewhere.png"
        (small_data.images / "train_0.png").rename(elsewhere)
        (small_data.images / "train_0.png").symlink_to(elsewhere)
        assert read_picture(str(small_data.images / "train_0.png")).shape == (32, 48, 3)

    def test_list_without_end(self):
        message, memory = peak_memory(error_of, read_list, "/dev/zero")
        assert "is a folder, pipe or device, not a file" in message
        assert memory < FEW

    def test_list_of_many_megabytes_is_not_read(self, tmp_path):
        (tmp_path / "list").touch()
        os.truncate(tmp_path / "list", 254 << 20)
        message, memory = peak_memory(error_of, read_list, str(tmp_path / "list"))
        assert "larger than 128 MiB" in message
        assert memory < FEW

    def test_a_million_names_are_read_and_four_million_refused(self, tmp_path):
        (tmp_path / "list").write_text("images/a_picture.png\n" * 1_000_000)
        count, memory = peak_memory(count_names, str(tmp_path / "list"))
        assert count == 1_000_000
        assert memory < 300
        (tmp_path / "list").write_text("\n" * 4_000_001)
        message, memory = peak_memory(error_of, read_list, str(tmp_path / "list"))
        assert "more than 4,000,000 lines" in message
        assert memory < FEW


class TestConfig:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a: !!python/object/apply:os.system [touch ran]", "tags (!name)"),
            (
                "a: &a {k: 1}\nb: {<<: [*a, *a]}",
                "line 2, column 10: no valid YAML: aliases",
            ),
            ("[" * 1_000_000, "no valid YAML"),
            ("{" * 1_000_000, "no valid YAML"),
            ("a: " + "9" * 10_000, "no valid YAML"),
            ('output_path: "\\uD800"', "output_path: "),
            ('output_path: "a\\0b"', "output_path: "),
            ('output_path: "~\\0b"', "output_path: "),
            ("output_path: " + "a/" * 5000, "output_path: "),
            ("\n".join(f"k{i}: 1" for i in range(20_000)), "unknown key k"),
        ],
        ids=range(10),
    )
    def test_text_that_is_no_configuration(self, tmp_path, text, problem, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "config.yaml").write_text(text)
        message = error_of(load_config, "config.yaml")
        assert problem in message
        assert len(message) < 10_000
        assert os.listdir(tmp_path) == ["config.yaml"]

    def test_aliases_of_aliases(self, tmp_path):
        """Ten lines that merge to ten thousand million keys."""
        levels = [
            f"l{i}: &l{i} {{<<: [{', '.join([f'*l{i - 1}'] * 10)}]}}"
            for i in range(1, 10)
        ]
        (tmp_path / "config.yaml").write_text("\n".join(["l0: &l0 {k: 1}", *levels]))
        message, memory = peak_memory(
            error_of, load_config, str(tmp_path / "config.yaml")
        )
        assert "aliases" in message
        assert memory < FEW

    def test_100_megabytes(self, tmp_path):
        (tmp_path / "config.yaml").write_bytes(b"a: 1\n" * 20_000_000)
        message, memory = peak_memory(
            error_of, load_config, str(tmp_path / "config.yaml")
        )
        assert "larger than 1 MiB" in message
        assert memory < FEW


def test_class_name_that_writes_on_the_screen(tmp_path):
    (tmp_path / "table").write_text("1,2,3,a\x1b[2Jb\n")
    message = error_of(read_label_table, tmp_path / "table")
    assert "line 1: '1,2,3,a\\x1b[2Jb' is no row" in message


def test_label_table_of_100_megabytes(tmp_path):
    (tmp_path / "table").write_bytes(b"1,2,3,a\n" * 12_500_000)
    message, memory = peak_memory(error_of, read_label_table, str(tmp_path / "table"))
    assert "larger than 1 MiB" in message
    assert memory < FEW


def test_table_of_thousands_of_classes(tmp_path):
    """The network would have as many maps of scores: 5.3 GB for a table of 40 KB."""
    rows = (f"{i % 256},{i // 256},0,class{i}" for i in range(5000))
    (tmp_path / "table").write_text("\n".join(rows))
    message = error_of(read_label_table, tmp_path / "table")
    assert "5,000 classes; at most 1,024 are possible" in message


def test_row_of_a_table_with_a_million_spaces_is_refused_at_once(tmp_path):
    (tmp_path / "table").write_text("1" + " " * 1_000_000 + "x\n")
    start = time.monotonic()
    assert "is no row of a label table" in error_of(
        read_label_table, tmp_path / "table"
    )
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "read", [load_config, read_label_table, read_list, load_into_small_model]
)
def test_pipe_is_refused_instead_of_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    assert "is a folder, pipe or device" in error_of(read, str(tmp_path / "pipe"))


def test_text_larger_than_a_mebibyte_is_read_from_an_npz(tmp_path):
    """The log of a long run is one text."""
    text = np.array("x" * 500_000)
    np.savez(tmp_path / "a.npz", log=text)
    found = read_npz(str(tmp_path / "a.npz"), "--resume", 1 << 22)
    assert found["log"] == text
