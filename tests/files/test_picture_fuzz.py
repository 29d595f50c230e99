"""Pictures with changed headers: read or refused, and the process lives.

Each format is read in a process of its own, which a decoder's error could end. The short form
tries 300 files a format, the long one (uv run pytest -m slow) 3,000 and prints the figures.
"""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from picture_mutations import mutations, seeds
from tiny_run import peak_memory

from dataset.image_reader import read_picture
from files.errors import UserError

SHORT, LONG = 300, 3_000
SECONDS = 10  # a picture that takes longer ends the process, which counts as a crash
READ = {"PNG", "JPEG", "progressive JPEG", "BMP", "TIFF", "packed TIFF", "WebP"}
READ |= {"lossless WebP", "PNM"}


def outcomes(folder: Path, kind: str, count: int, seed: int) -> Counter:
    """Read mutations of a format; anything but a picture or a UserError is raised."""
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), 2
    )  # libpng and libjpeg print what they think
    path = folder / "picture"
    found = Counter()
    for content in mutations(kind, count, seed):
        path.write_bytes(content)
        signal.alarm(SECONDS)
        try:
            read_picture(str(path))
            found["read"] += 1
        except UserError:
            found["refused"] += 1
    signal.alarm(0)
    return found


def check(folder: Path, kind: str, count: int, seed: int) -> tuple[Counter, int]:
    # Where the process dies, peak_memory() raises EOFError.
    found, memory = peak_memory(outcomes, folder, kind, count, seed)
    assert found.total() == count
    assert (found["read"] > 0) == (kind in READ)
    assert found["refused"] > 0
    assert memory < 1024
    return found, memory


@pytest.mark.parametrize("kind", seeds())
def test_changed_headers_are_read_or_refused(tmp_path, kind):
    check(tmp_path, kind, SHORT, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", seeds())
def test_changed_headers_are_read_or_refused_long(tmp_path, kind, capsys):
    found, memory = check(tmp_path, kind, LONG, 1)
    with capsys.disabled():
        print(
            f"\n{kind}: {LONG:,} changed headers, {found['read']:,} read, 0 crashes, {memory} MiB"
        )
