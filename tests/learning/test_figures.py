"""The figures' numbers, compared with those worked out by hand."""

import chainer_compat

import chainer
import numpy as np
import pytest

from dataset.epoch_order import EpochOrder
from fcn_squeeze import FCN
from learning import (
    augmented,
    branches,
    checkerboard,
    feature_maps,
    kernels,
    layer_table,
    loss_gradients,
    normalization,
    pictures,
    receptive_field,
)
from learning.subject import Subject
from mini_batch_loader import DatasetPreProcessor


@pytest.fixture
def model() -> FCN:
    np.random.seed(3)
    return FCN(3, 3)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 32, 48)).astype(np.float32)


def scores(model: FCN, image: np.ndarray) -> np.ndarray:
    with chainer.no_backprop_mode(), chainer.using_config("train", False):
        return model.scores(image[None]).array[0]


def test_a_scores_gradient_stays_in_its_receptive_field():
    model = FCN(2, 3)
    image = np.random.default_rng(0).normal(size=(3, 256, 16)).astype(np.float32)
    ((_, column),) = places = [(128, 8)]
    found = receptive_field.gradients(model, image, places, [1])[0]
    low, high = layer_table.box(
        layer_table.layers_of(model), "upsample_final", 128, 128
    )
    rows = np.flatnonzero(found.any(axis=1))
    assert low <= rows[0] < 128 < rows[-1] <= high
    assert found[128, column] > 0


def test_the_gradient_is_the_change_of_the_score(model, image):
    found = receptive_field.gradients(model, image, [(10, 20)], [2])[0]
    shift = np.zeros_like(image)
    shift[:, 12, 22] = 1e-2
    slopes = []
    for channel in range(3):
        only = np.zeros_like(image)
        only[channel, 12, 22] = 1e-2
        change = scores(model, image + only) - scores(model, image - only)
        slopes.append(abs(change[2, 10, 20]) / 2e-2)
    assert found[12, 22] == pytest.approx(sum(slopes), rel=0.05)


def test_the_square_that_holds_nine_tenths_of_a_gradient():
    gradient = np.zeros((1, 9, 9))
    gradient[0, 4, 4] = 80
    gradient[0, 4, 6] = 12  # two pixels away: now 92 %
    gradient[0, 0, 0] = 8
    assert receptive_field.sides(gradient, [(4, 4)]) == [5]


def test_feature_maps_are_those_of_conv1_and_all_fires(model, image):
    maps = feature_maps.feature_maps(model, image)
    assert list(maps) == ["conv1", *(f"fire{n}" for n in range(2, 10))]
    wanted = model.conv1(image[None]).array[0]
    np.testing.assert_allclose(maps["conv1"], wanted, atol=1e-5)


def test_the_map_that_varies_most_comes_first():
    maps = np.array([[[0, 1]], [[5, 5]], [[-4, 4]]], np.float32)
    assert feature_maps.strongest(maps) == [2, 0, 1]


@pytest.mark.parametrize("branch", branches.BRANCHES)
def test_a_branch_left_out_no_longer_matters(model, image, branch):
    score = {
        "pool1": "score_pool1",
        "pool4": "upsample_pool4",
        "fire9": "upsample_pool9",
    }
    before = scores(model, image)
    reduced = branches.without(model, branch)
    left = scores(reduced, image)
    assert not np.allclose(left, before)
    reduced[score[branch]].W.array[...] = 7
    np.testing.assert_array_equal(scores(reduced, image), left)
    np.testing.assert_array_equal(
        scores(model, image), before
    )  # the original is intact


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


def test_a_bilinear_kernel_interpolates_a_ramp():
    ramp = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    large = kernels.enlarged(ramp, kernels.bilinear_kernel(16, 4), stride=4, pad=6)
    assert large.shape == (32, 32)
    # Output pixel X lies at (X - 1.5) / 4 of the small picture.
    wanted = (np.arange(8, 24) - 1.5) / 4
    np.testing.assert_allclose(large[16, 8:24], wanted, atol=1e-5)


def test_a_bright_photo_is_clipped_and_a_dark_one_is_not():
    photo = np.array([[[0], [100], [200]]], np.uint8)
    lights = normalization.lights(photo)
    assert lights["dark"].ravel().tolist() == [0, 40, 80]
    assert lights["bright"].ravel().tolist() == [50, 170, 255]


def test_a_histogram_counts_what_lies_outside_in_its_outer_bins():
    shares = normalization.histogram(np.array([-9.0, -9.0, 0.1, 9.0]))
    assert (shares[0], shares[16], shares[31]) == (1.0, 0.5, 0.5)
    assert sum(shares) == 2.0


def test_the_losses_pull_as_their_formulas_say(small_data, model, image):
    small_data.load()
    args = chainer.global_config.user_val_args
    subject = Subject(args, model, model, np.zeros((32, 48, 3), np.uint8), "a", [])
    truth = np.random.default_rng(2).integers(-1, 3, (32, 48)).astype(np.int32)
    weight = np.array([1, 2, 4], np.float32)
    found = loss_gradients.gradients(subject, image, truth, weight)

    exp = np.exp(scores(model, image).astype(np.float64))
    probability = exp / exp.sum(axis=0)
    right = np.take_along_axis(probability, np.maximum(truth, 0)[None], axis=0)[0]
    # Of the true class 1 - p, of the others together the same.
    wanted = np.where(truth >= 0, 2 * (1 - right), 0) / (truth >= 0).sum()
    np.testing.assert_allclose(found["cross_entropy"], wanted, rtol=1e-3, atol=1e-9)
    weighted = wanted * weight[truth]
    np.testing.assert_allclose(found["weighted"], weighted, rtol=1e-3, atol=1e-9)
    assert not found["lovasz"][truth < 0].any()
    assert found["lovasz"][truth >= 0].any()


def test_the_first_image_is_shown_as_each_of_sixteen_epochs_draws_it(small_data):
    small_data.load(augmentation_params={"do_augment": True})
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    numbers = augmented.draws(dataset)
    assert len(numbers) == 16
    order = EpochOrder(5, 2, 0)
    for epoch, number in enumerate(numbers, 1):
        assert number in order.order(epoch)
        assert dataset.file_names([number]) == ["train_0.png"]


def test_a_sheet_has_its_pictures_row_by_row_with_a_gap():
    tiles = np.stack([np.full((2, 2), n, np.uint8) for n in (1, 2, 3)])
    sheet = pictures.sheet(tiles, columns=2, gap=1)
    assert sheet.shape == (5, 5)
    assert sheet[0].tolist() == [1, 1, 255, 2, 2]
    assert sheet[4].tolist() == [3, 3, 255, 255, 255]


def test_a_normalised_photo_is_grey_where_it_is_0():
    x = np.zeros((3, 2, 2), np.float32)
    x[:, 0, 0] = 2.5
    assert pictures.normalized_photo(x, "GCN")[0, 0].tolist() == [255] * 3
    assert pictures.normalized_photo(x, "GCN")[1, 1].tolist() == [127] * 3
    assert pictures.normalized_photo(x / 5, "none")[0, 0].tolist() == [127] * 3
