"""Reads small text files that people write: the configuration, a list of images, a label table."""

import os
from pathlib import Path

from files.errors import BrokenFileError, UserError, printable


def read_text(path: str | Path, what: str, max_bytes: int) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Args:
        path: the file.
        what: the option or key that named it, for messages.
        max_bytes: a file that is larger is refused unread.

    Raises:
        UserError: the file cannot be read, is no regular file, too large, or not UTF-8.
    """
    name = printable(path)
    try:
        if regular_size(path, what) > max_bytes:
            limit = f"{max_bytes >> 20} MiB"
            raise UserError(
                f"{what}: {name} is larger than {limit}; is it the right file?"
            )
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{what}: cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{what}: {name} is not a text file in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None


def regular_size(path: str | Path, what: str) -> int:
    """Bytes of a regular file.

    Raises:
        BrokenFileError: it is a folder, pipe or device; reading these could wait for ever.
        OSError: it does not exist.
    """
    size = os.stat(path).st_size
    if not os.path.isfile(path):
        raise BrokenFileError(
            f"{what}: {printable(path)} is a folder, pipe or device, not a file"
        )
    return size
