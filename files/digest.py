"""The checksum by which a file is known again."""

import hashlib
import os

from files.errors import UserError

_BLOCK = 1 << 20


def file_digest(path: str, size: int | None = None) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Args:
        path: the file.
        size: how many of its bytes count; all, if not given.

    Raises:
        UserError: it cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    try:
        if not os.path.isfile(path):  # reading a device might never end
            raise UserError(f"cannot read {path}: no such file")
        left = os.path.getsize(path) if size is None else size
        with open(path, "rb") as file:
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()
