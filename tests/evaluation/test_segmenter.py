"""Whether a photo of any size gets the classes that the scores of the network say."""

import chainer
import numpy as np
import pytest

from evaluation import segmenter as segmenter_module
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files.opencv import cv2
from image_normalizer import ImageNormalizer
from layers.device import choose_device


def untrained_segmenter(small_data, dilated=True, **changes) -> Segmenter:
    small_data.load(dilated=dilated, **changes)
    args = chainer.global_config.user_test_args
    np.random.seed(3)
    model = FCN(args.n_class, args.in_ch, dilated=dilated)
    return Segmenter(model, args, choose_device(-1))


def test_mirrored_scores_are_the_mean_of_both_ways(small_data):
    small_data.load()
    args = chainer.global_config.user_test_args
    model = FCN(args.n_class, args.in_ch)
    once = Segmenter(model, args, choose_device(-1))
    both = Segmenter(model, args, choose_device(-1), mirror=True)
    x = np.random.default_rng(0).normal(0, 1, (3, 32, 48)).astype(np.float32)
    mirrored = once.scores(np.ascontiguousarray(x[:, :, ::-1]))[:, :, ::-1]
    expected = (once.scores(x) + mirrored) / 2
    np.testing.assert_allclose(both.scores(x), expected, atol=1e-5)
    np.testing.assert_allclose(
        both.scores(x[:, :, ::-1])[:, :, ::-1], both.scores(x), atol=1e-5
    )


def test_scores_at_scales_are_the_mean_of_the_picture_scaled_by_each(small_data):
    small_data.load()
    args = chainer.global_config.user_test_args
    model = FCN(args.n_class, args.in_ch)
    once = Segmenter(model, args, choose_device(-1))
    several = Segmenter(model, args, choose_device(-1), scales=[0.5, 1])
    x = np.random.default_rng(0).normal(0, 1, (3, 32, 64)).astype(np.float32)
    half = x.reshape(3, 16, 2, 32, 2).mean(axis=(2, 4), dtype=np.float32)
    small = [bilinear(plane, 32, 64) for plane in once.scores(half)]
    expected = (once.scores(x) + np.stack(small)) / 2
    np.testing.assert_allclose(several.scores(x), expected, atol=1e-5)


def test_a_scaled_side_is_the_nearest_that_the_network_takes(small_data):
    segmenter = untrained_segmenter(small_data)
    sides = [segmenter._scaled_side(176, scale) for scale in (1, 0.75, 1.25, 0.05)]
    assert sides == [176, 128, 224, 16]  # 132 and 220 lie between multiples of 16


def photo_of_size(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def bilinear(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Upsampling by NumPy's interpolation of lines, centres of pixels onto centres."""
    h, w = plane.shape
    rows = (np.arange(height) + 0.5) * h / height - 0.5
    columns = (np.arange(width) + 0.5) * w / width - 0.5
    tall = np.stack([np.interp(rows, np.arange(h), c) for c in plane.T], axis=1)
    return np.stack([np.interp(columns, np.arange(w), r) for r in tall])


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 70), (33, 47), (64, 48)])
def test_classes_have_the_photos_own_size(small_data, size):
    segmenter = untrained_segmenter(small_data, image_scale=0.5)
    classes = segmenter.classes(photo_of_size(*size))
    assert classes.shape == size
    assert classes.dtype == np.uint8
    assert classes.max() < 3


def test_scores_are_upsampled_before_the_largest_is_taken(small_data):
    segmenter = untrained_segmenter(small_data, image_scale=0.5)
    photo = photo_of_size(64, 96).repeat(2, axis=0).repeat(2, axis=1)
    small = photo[::2, ::2]  # halving a doubled picture gives the picture back
    normalized = ImageNormalizer().GCN(small)
    scores = segmenter.scores(np.ascontiguousarray(normalized.transpose(2, 0, 1)))
    scores = np.stack([bilinear(plane, 128, 192) for plane in scores])
    two_largest = np.sort(scores, axis=0)[-2:]
    is_clear = two_largest[1] - two_largest[0] > 1e-5
    classes = segmenter.classes(photo)
    assert is_clear.mean() > 0.99
    assert np.array_equal(classes[is_clear], scores.argmax(axis=0)[is_clear])
    assert len(np.unique(classes)) > 1


def test_a_photo_is_scaled_to_the_size_that_training_cuts_its_images_to(small_data):
    segmenter = untrained_segmenter(small_data, image_scale=0.5)
    photo = photo_of_size(74, 100)  # half of it, 37 x 50, is cut to 32 x 48 in training
    small = cv2.resize(photo, (48, 32), interpolation=cv2.INTER_AREA)
    x = ImageNormalizer().GCN(small).transpose(2, 0, 1)
    scores = segmenter.scores(np.ascontiguousarray(x))
    expected = np.stack([bilinear(plane, 74, 100) for plane in scores]).argmax(axis=0)
    assert (segmenter.classes(photo) != expected).mean() < 1e-3


def test_a_side_too_small_for_the_network_is_filled_up_with_its_mirror_image(
    small_data,
):
    segmenter = untrained_segmenter(small_data)
    photo = photo_of_size(10, 32)
    filled = np.pad(
        ImageNormalizer().GCN(photo), ((0, 6), (0, 0), (0, 0)), mode="reflect"
    )
    scores = segmenter.scores(np.ascontiguousarray(filled.transpose(2, 0, 1)))
    assert np.array_equal(segmenter.classes(photo), scores[:, :10].argmax(axis=0))


@pytest.mark.parametrize("dilated", [True, False])
def test_tiles_give_the_classes_of_the_whole(small_data, monkeypatch, dilated):
    segmenter = untrained_segmenter(small_data, dilated)
    photo = photo_of_size(345, 330)
    whole = segmenter.classes(photo)
    monkeypatch.setattr(segmenter_module, "_WHOLE_PIXELS", 0)
    monkeypatch.setattr(segmenter_module, "_TILE", 192)
    assert (segmenter.classes(photo) != whole).mean() < 1e-4
    monkeypatch.setattr(segmenter_module, "_MARGIN", 16)
    assert (segmenter.classes(photo) != whole).mean() > 1e-3


def test_a_network_for_grey_images_takes_grey_photos(small_data):
    segmenter = untrained_segmenter(small_data, in_ch=1)
    assert segmenter.classes(photo_of_size(20, 30, channels=1)).shape == (20, 30)


def test_more_than_256_classes_need_16_bits(small_data):
    rows = [f"{i % 256},{i // 256},7,class {i}" for i in range(300)]
    (small_data.folder / "label_color").write_text("r,g,b,label\n" + "\n".join(rows))
    small_data.load(ignore_index=-1)
    args = chainer.global_config.user_test_args
    segmenter = Segmenter(FCN(300, 3), args, choose_device(-1))
    assert segmenter.classes(photo_of_size(16, 16)).dtype == np.uint16


def test_confidence_is_the_softmax_of_the_upsampled_scores(small_data):
    segmenter = untrained_segmenter(small_data)
    segmenter.temperature = 0.01  # the scores of an untrained network are small
    photo = photo_of_size(32, 48)
    normalized = ImageNormalizer().GCN(photo)
    scores = segmenter.scores(np.ascontiguousarray(normalized.transpose(2, 0, 1)))
    odds = np.exp(scores.astype("f8") / 0.01 - scores.max(axis=0) / 0.01)
    expected = (odds / odds.sum(axis=0)).max(axis=0)
    classes, confidence = segmenter.classes_and_confidence(photo)
    np.testing.assert_allclose(confidence, expected, rtol=1e-3)
    assert expected.std() > 0.01
    assert np.array_equal(classes, segmenter.classes(photo))


@pytest.mark.parametrize("options", [{}, {"mirror": True}, {"scales": [0.5, 1]}])
@pytest.mark.parametrize("pixels", [1, 768 * 768], ids=["one by one", "together"])
def test_photos_together_have_the_classes_that_they_have_alone(
    small_data, monkeypatch, options, pixels
):
    monkeypatch.setattr(segmenter_module, "_TOGETHER_PIXELS", pixels)
    small_data.load(image_scale=0.5)
    args = chainer.global_config.user_test_args
    np.random.seed(3)
    model = FCN(args.n_class, args.in_ch)
    segmenter = Segmenter(model, args, choose_device(-1), **options)
    rng = np.random.default_rng(0)
    photos = list(rng.integers(0, 256, (3, 50, 70, 3), np.uint8))
    together = segmenter.classes_of_all(photos)
    assert len(together) == 3
    for photo, classes in zip(photos, together):
        np.testing.assert_array_equal(classes, segmenter.classes(photo))
