"""Reads untrusted .npz files: no pickle, bounded size, checked against their checksum.

files.weights reads weights with it, training.snapshots snapshots, dataset.label_reader the
book's labels. np.load would read as much as the file claims to hold.
"""

import io
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np

from files.digest import file_digest
from files.errors import BrokenFileError, UserError
from files.text_file import regular_size

# The checksum of this project's files: the comment at the end of the zip archive, so that any
# other program can read them, too. Zip's own checksums leave out its tables of contents.
_LABEL = b"sha256:"
_DIGITS = 64
_MAX_HEADER = 2000  # characters of an array's description, a Python literal
_MAX_CONTENTS = 1 << 20  # bytes of a table of contents: about 10,000 arrays
_PLAIN_KINDS = "biufU"  # numbers and text: the only arrays this project stores

Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]


def read_npz(
    path: str,
    what: str,
    max_bytes: int,
    check: Callable[[Shapes], None] = lambda shapes: None,
    names: Sequence[str] | None = None,
    must_have_checksum: bool = False,
) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, checked against the checksums stored in it.

    Args:
        path: the file.
        what: the option or key that named it, for messages.
        max_bytes: a file that is larger, or would be when unpacked, is refused unread.
        check: called with {name: (shape, dtype)} before any array is read.
        names: the arrays to read; all, if not given.
        must_have_checksum: the file was written by this project, with add_checksum().

    Raises:
        BrokenFileError: the file cannot be read, was cut or changed, or holds what is no plain
            array (objects could run code).
        UserError: what check() raises.
    """
    try:
        regular_size(path, what)
        with _BoundedFile(path) as file:
            _refuse_large(path, what, file.size, max_bytes)
            _verify_checksum(path, file, must_have_checksum)
            with zipfile.ZipFile(file) as archive:
                # Text is read in one piece, whatever its size; check() sees the size first.
                file.limit = max_bytes
                members = {_name(member): member for member in archive.infolist()}
                unpacked = sum(member.file_size for member in members.values())
                _refuse_large(path, what, unpacked, max_bytes)
                check({name: _header(archive, members[name]) for name in members})
                wanted = members if names is None else names
                return {name: _array(archive, members[name]) for name in wanted}
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise BrokenFileError(f"{what}: cannot read {path}: {reason}") from None
    # zipfile, zlib and NumPy raise more than ten kinds on bytes that were changed at random.
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BrokenFileError(
            f"{what}: {path} is no usable .npz file: {reason}"
        ) from None


class _BoundedFile(io.FileIO):
    """A file of which no more is read at once than a limit that the caller sets.

    zipfile would read a table of contents of any size, and make objects of it 20 times larger.
    """

    def __init__(self, path: str):
        super().__init__(path)
        self.size = os.fstat(self.fileno()).st_size
        self.limit = _MAX_CONTENTS

    def read(self, size: int = -1) -> bytes:
        left = max(self.size - self.tell(), 0)
        size = left if size < 0 else min(size, left)
        if size > self.limit:
            raise ValueError("its table of contents is too large")
        return super().read(size)


def add_checksum(path: str) -> None:
    """Write the SHA-256 of an .npz file into its end."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = _LABEL + b"0" * _DIGITS
    digest = file_digest(path, os.path.getsize(path) - _DIGITS)
    with open(path, "r+b") as file:
        file.seek(-_DIGITS, os.SEEK_END)
        file.write(digest.encode())


def _verify_checksum(path: str, file: BinaryIO, required: bool) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _DIGITS - len(_LABEL), 0))
    label, digest = file.read(len(_LABEL)), file.read()
    if label == _LABEL and digest == file_digest(path, size - _DIGITS).encode():
        return
    if label == _LABEL or required:
        raise ValueError("it was cut or changed after it was written (wrong checksum)")


def _refuse_large(path: str, what: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BrokenFileError(
            f"{what}: {path} holds {size:,} bytes, more than the {max_bytes:,} that are possible here"
        )


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo):
    """Shape and dtype of an array; ValueError where its size in the archive is another."""
    with archive.open(member) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} is no plain array")
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file, max_header_size=_MAX_HEADER)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects, which could run code")
        size = member.file_size - file.tell()
    if dtype.kind not in _PLAIN_KINDS or min(shape, default=0) < 0:
        raise ValueError(f"{member.filename} is no plain array")
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{member.filename} claims {shape} {dtype} in {size} bytes")
    return shape, dtype


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.lib.format.read_array(
            file, allow_pickle=False, max_header_size=_MAX_HEADER
        )
        file.read()  # to its end, where zipfile compares the checksum
    return array
