"""The pattern of uneven kernels, and how training removes it."""

import numpy as np
import pytest

from learning import checkerboard


def test_a_kernel_of_15_at_stride_4_writes_a_pattern_and_16_none():
    # In one direction 4, 4, 4, 3 copies overlap.
    writes = np.outer([4, 4, 4, 3], [4, 4, 4, 3])
    wanted = writes.std() / writes.mean()
    assert checkerboard.unevenness(checkerboard.even_kernel(15)) == pytest.approx(
        wanted
    )
    assert checkerboard.unevenness(checkerboard.even_kernel(16)) == pytest.approx(
        0, abs=1e-6
    )


def test_training_takes_most_of_the_pattern_away(monkeypatch):
    monkeypatch.setattr(checkerboard, "_STEPS", (0, 10, 60))
    photos = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    photos = photos.repeat(4, axis=2).repeat(4, axis=3)
    states = checkerboard.train(photos, 15)["states"]
    assert [state["step"] for state in states] == [0, 10, 60]
    assert states[-1]["unevenness"] < states[0]["unevenness"] / 4
