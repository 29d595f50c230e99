"""Whether probabilities are counted, mended and told as Guo et al. (2017) define it."""

import json

import chainer
import numpy as np
import pytest
from test_model_description import trained  # noqa: F401  (a run of one epoch)

import predict
from evaluation import calibration
from evaluation.calibration import (
    BINS,
    count_reliability,
    expected_calibration_error,
    fit_temperature,
    sample_scores,
)
from evaluation.model_description import stored_temperature
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files import weights
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor


def scores_of(probability: float, pixels: int) -> np.ndarray:
    """Scores of two classes, (2, pixels): the first has this probability."""
    return np.tile([[np.log(probability)], [np.log(1 - probability)]], pixels)


def test_the_calibration_error_is_the_gap_between_probability_and_share_right():
    # 10 pixels at 90 % of which 7 are right, 30 at 60 % of which all are; one is unlabelled.
    scores = np.hstack([scores_of(0.9, 11), scores_of(0.6, 30)])
    truth = np.array([0] * 7 + [1] * 3 + [-1] + [0] * 30)
    found = count_reliability(scores, truth, 1)
    assert found[0, 13] == 10 and found[2, 13] == 7  # 13 / 15 < 0.9 <= 14 / 15
    assert found[0].sum() == 40
    expected = (10 * (0.9 - 0.7) + 30 * (1 - 0.6)) / 40
    assert expected_calibration_error(found) == pytest.approx(expected)


def test_the_temperature_divides_the_scores():
    scores, truth = scores_of(0.9, 3), np.zeros(3, int)
    found = count_reliability(2 * scores, truth, 2)
    assert found[1].sum() == pytest.approx(3 * 0.9)


def test_bins_include_their_upper_end_and_certainty_is_in_the_last():
    assert count_reliability(scores_of(0.5, 1), np.zeros(1, int), 1)[0, 7] == 1
    sure = count_reliability(np.array([[99.0], [0.0]]), np.zeros(1, int), 1)
    assert sure[0, BINS - 1] == 1


def test_without_a_labelled_pixel_there_is_no_error_and_the_temperature_is_1():
    nothing = count_reliability(scores_of(0.9, 2), np.full(2, -1), 1)
    assert expected_calibration_error(nothing) is None
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1


@pytest.mark.parametrize("temperature", [0.4, 1, 3])
def test_the_temperature_that_made_the_scores_too_sure_is_found(temperature):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (40_000, 3))
    odds = np.exp(scores)
    chance = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    truth = (rng.random((40_000, 1)) > chance).sum(axis=1)
    found = fit_temperature(scores * temperature, truth)
    assert found == pytest.approx(temperature, rel=0.03)


def test_no_temperature_nearby_has_a_lower_cross_entropy():
    rng = np.random.default_rng(1)
    scores, truth = rng.normal(0, 3, (500, 4)), rng.integers(0, 4, 500)
    truth[:300] = scores[:300].argmax(axis=1)

    def cross_entropy(temperature):
        z = scores / temperature
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(500), truth]).mean()

    best = fit_temperature(scores, truth)
    assert 1 < best < 10
    assert cross_entropy(best) < cross_entropy(best * 1.01)
    assert cross_entropy(best) < cross_entropy(best / 1.01)


def test_the_pixels_to_fit_on_are_labelled_ones_spread_over_all_images(
    small_data, monkeypatch
):
    small_data.load(ignore_labels=["Sky"])
    args = chainer.global_config.user_val_args
    segmenter = Segmenter(FCN(3, 3), args, choose_device(-1))
    dataset = DatasetPreProcessor(args)
    everything = sum((truth >= 0).sum() for _, truth in (dataset[0], dataset[1]))
    scores, truth = sample_scores(segmenter, dataset)
    assert scores.shape == (everything, 3)
    assert truth.min() >= 0
    monkeypatch.setattr(calibration, "_SAMPLE", 20)
    scores, truth = sample_scores(segmenter, dataset)
    assert 10 < len(truth) <= 20


def test_training_stores_the_temperature_that_fits_the_validation_images(trained):  # noqa: F811
    path = str(trained.folder / "result" / "model" / "fcn_best.npz")
    stored = stored_temperature(weights.read_description(path))
    trained.load(bypass=True, image_scale=0.5, normalizer="none", user_multiple=8)
    args = chainer.global_config.user_val_args
    model = FCN(3, 3, bypass=True)
    weights.load_model(path, model)
    segmenter = Segmenter(model, args, choose_device(-1))
    fitted = fit_temperature(*sample_scores(segmenter, DatasetPreProcessor(args)))
    assert stored == fitted != 1


def test_scores_and_report_hold_error_temperature_and_diagram(trained, capsys):  # noqa: F811
    assert predict.main(["--config", str(trained.write_config())]) == 0
    folder = trained.folder / "result"
    found = json.loads((folder / "predict/scores.json").read_text())["calibration"]
    path = str(folder / "model" / "fcn_best.npz")
    temperature = stored_temperature(weights.read_description(path))
    assert found["temperature"] == temperature
    dataset = DatasetPreProcessor(chainer.global_config.user_test_args)
    model = FCN(3, 3, bypass=True)
    weights.load_model(path, model)
    segmenter = Segmenter(model, dataset.args, choose_device(-1))
    for key, divisor in (
        ("expected_calibration_error", temperature),
        ("without_temperature", 1),
    ):
        counts = sum(
            count_reliability(segmenter.scores(x), t, divisor)
            for x, t in (dataset[0], dataset[1])
        )
        assert found[key] == pytest.approx(expected_calibration_error(counts))
    pixels = sum(entry["pixels"] for entry in found["bins"])
    assert pixels == sum((t >= 0).sum() for _, t in (dataset[0], dataset[1]))
    assert "expected calibration error" in capsys.readouterr().out
    report = (folder / "report.html").read_text()
    assert "Guo et al. 2017" in report and "Reliability diagram" in report
