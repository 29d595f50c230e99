"""However many threads read pictures, those in work together have a bounded number of pixels."""

import threading
from concurrent.futures import ThreadPoolExecutor

import chainer_compat

import chainer
import numpy as np
import pytest

from dataset import pixel_budget
from mini_batch_loader import DatasetPreProcessor
from training import data_summary
from training.data_summary import ListSummary, survey

PIXELS = 48 * 32  # of an image of small_data


def pixels_in_work(sizes: list[int]) -> list[int]:
    """Take pictures of some sizes with a thread each; how many pixels were in work at each step."""
    seen = []

    def work(pixels: int) -> None:
        with pixel_budget.in_work():
            pixel_budget.take_pixels(pixels)
            seen.append(pixel_budget._in_work)

    with ThreadPoolExecutor(len(sizes)) as pool:
        list(pool.map(work, sizes))
    return seen


def test_pixels_in_work_stay_below_the_budget(monkeypatch):
    monkeypatch.setattr(pixel_budget, "MOST_PIXELS", 10)
    assert max(pixels_in_work([4] * 50)) <= 10
    assert pixel_budget._in_work == 0


def test_pictures_that_fit_together_are_worked_on_together(monkeypatch):
    monkeypatch.setattr(pixel_budget, "MOST_PIXELS", 10)
    together = threading.Barrier(2, timeout=60)

    def work(_) -> None:
        with pixel_budget.in_work():
            pixel_budget.take_pixels(5)
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [None, None]


def test_picture_larger_than_the_budget_is_worked_on_alone(monkeypatch):
    monkeypatch.setattr(pixel_budget, "MOST_PIXELS", 10)
    assert set(pixels_in_work([30] * 20)) == {30}


def test_budget_comes_back_after_an_error():
    with pytest.raises(ValueError), pixel_budget.in_work():
        pixel_budget.take_pixels(7)
        raise ValueError
    assert pixel_budget._in_work == 0


@pytest.fixture
def one_at_a_time(monkeypatch):
    """A budget that no image of small_data fits into."""
    monkeypatch.setattr(pixel_budget, "MOST_PIXELS", 1)


def test_pairs_are_in_work_until_they_are_counted(
    small_data, monkeypatch, one_at_a_time
):
    small_data.load()
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    seen, bincount = [], np.bincount

    def recording(*arguments, **keywords):
        seen.append(pixel_budget._in_work)
        return bincount(*arguments, **keywords)

    monkeypatch.setattr(data_summary.np, "bincount", recording)
    summary = ListSummary("train", dataset)
    assert list(survey(summary, range(5), dataset.full_pair, 8)) == [0, 1, 2, 3, 4]
    assert seen == [PIXELS] * 5


def test_images_are_in_work_until_they_are_normalised(small_data, one_at_a_time):
    small_data.load()
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    seen, normalize = [], dataset.normalize

    def recording(image):
        seen.append(pixel_budget._in_work)
        return normalize(image)

    dataset._training._normalize = recording
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(dataset.get_example, range(5)))
    assert seen == [PIXELS] * 5
    assert pixel_budget._in_work == 0
