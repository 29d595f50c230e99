"""The benchmark of the loader measures the loader that a training uses."""

import pytest

from benchmarks import loader
from dataset import pair_reader


@pytest.fixture
def decoded(monkeypatch):
    """Paths of the images that are decoded; two photos of 96 x 64 pixels, one epoch."""
    monkeypatch.setattr(loader, "IMAGES", 2)
    monkeypatch.setattr(loader, "EPOCHS", 1)
    monkeypatch.setattr(loader, "PHOTO_SIZE", (96, 64))
    paths, decode = [], pair_reader.decode
    monkeypatch.setattr(
        pair_reader, "decode", lambda path, *a: paths.append(path) or decode(path, *a)
    )
    return paths


def test_each_image_is_timed_read_and_from_the_cache(decoded):
    seconds = loader.measure(batch_size=2)
    assert len(seconds["read"]) == len(seconds["cached"]) == 2
    assert len(seconds["epochs"]) == len(seconds["steps"]) == 1
    assert set(seconds["rates"]) == set(loader.WORKERS)
    # Twice one by one, and once for each number of workers; all else comes from the cache.
    assert len(decoded) == 2 * (2 + len(loader.WORKERS))
