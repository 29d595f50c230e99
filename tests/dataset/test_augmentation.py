import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import augmentation


def coordinates(height: int, width: int):
    """A pair that tells where each pixel came from: image channels and label hold row and column."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    return image, (rows * width + columns).astype(np.int16)


def pixel_of_label(label, width):
    return label // width, label % width


@given(
    st.integers(16, 90), st.integers(16, 90), st.floats(0, 0.999), st.floats(0, 0.999)
)
def test_crop_keeps_image_and_label_together(height, width, down, right):
    image, label = augmentation.crop_to_multiple(
        *coordinates(height, width), 16, (down, right)
    )
    assert label.shape == (height // 16 * 16, width // 16 * 16) == image.shape[:2]
    rows, columns = pixel_of_label(label, width)
    np.testing.assert_array_equal(image[..., 0], rows)
    np.testing.assert_array_equal(image[..., 1], columns)


def test_crop_reaches_every_offset_and_no_other():
    offsets = {
        int(
            augmentation.crop_to_multiple(*coordinates(19, 16), 16, (share, 0))[1][0, 0]
        )
        // 16
        for share in np.linspace(0, 0.999, 50)
    }
    assert offsets == {0, 1, 2, 3}


def test_centred_crop_leaves_as_much_above_as_below():
    _, label = augmentation.crop_to_multiple(*coordinates(24, 16), 16, (0.5, 0.5))
    assert label[0, 0] // 16 == 4


@pytest.mark.parametrize(
    "size, scale, expected",
    [
        ((180, 240), 0.25, (45, 60)),
        ((35, 50), 0.5, (17, 25)),
        ((20, 30), 1.5, (30, 45)),
    ],
)
def test_resize_rounds_the_size_down(size, scale, expected):
    image, label = augmentation.resize_pair(*coordinates(*size), scale)
    assert image.shape == (*expected, 3) and label.shape == expected


@given(st.integers(20, 120), st.integers(20, 120), st.floats(0.2, 2))
def test_resized_label_lies_where_its_image_lies(height, width, scale):
    """The label pixel that is kept is the one in the middle of what the image averages."""
    image, label = coordinates(height, width)
    image, label = augmentation.resize_pair(image.astype(np.float32), label, scale)
    offsets = image[..., :2] - np.stack(pixel_of_label(label, width), axis=2)
    assert np.abs(offsets).max() <= 1
    # Of an even number of pixels none is the middle one: half a pixel off at most.
    assert np.abs(offsets.mean(axis=(0, 1))).max() <= 0.51


def test_resize_makes_up_no_class():
    label = np.where(np.arange(40) % 3 == 0, -1, 30).astype(np.int16) * np.ones(
        (40, 1), np.int16
    )
    _, resized = augmentation.resize_pair(np.zeros((40, 40, 1), np.uint8), label, 0.37)
    assert set(np.unique(resized)) == {-1, 30}


def test_grey_image_keeps_its_channel_when_resized():
    image, _ = augmentation.resize_pair(
        np.zeros((40, 40, 1), np.uint8), np.zeros((40, 40), np.int16), 0.5
    )
    assert image.shape == (20, 20, 1)


def test_flips_reach_all_four_orientations_with_their_labels():
    image, label = coordinates(4, 6)
    corners = []
    for seed in range(400):
        flipped, classes = augmentation.flip(
            image, label, "both", np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(flipped[..., 0] * 6 + flipped[..., 1], classes)
        corners.append(int(classes[0, 0]))
    shares = {corner: corners.count(corner) / 400 for corner in (0, 5, 18, 23)}
    # The book's: both ways 1/2, upside down 1/4, left-right 1/8, as it is 1/8.
    assert shares == pytest.approx({23: 1 / 2, 18: 1 / 4, 5: 1 / 8, 0: 1 / 8}, abs=0.07)


@pytest.mark.parametrize(
    "change", [augmentation.change_brightness, augmentation.change_contrast]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_light_changes_half_of_the_images_within_the_grey_levels(change, channels):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, channels), np.uint8)
    results = [change(image, np.random.default_rng(seed)) for seed in range(200)]
    assert all(r.dtype == np.uint8 and r.shape == image.shape for r in results)
    assert np.mean([np.array_equal(r, image) for r in results]) == pytest.approx(
        0.5, abs=0.1
    )


def test_brightness_adds_up_to_63_grey_levels():
    image = np.full((2, 2, 3), 100, np.uint8)
    levels = [
        augmentation.change_brightness(image, np.random.default_rng(s)).max()
        for s in range(500)
    ]
    assert 37 <= min(levels) < 45 and 155 < max(levels) <= 163


def test_contrast_stretches_the_channels_of_a_pixel_about_their_mean():
    image = np.array([[[90, 100, 110]]], np.uint8)
    differences = set()
    for seed in range(500):
        r, g, b = (
            augmentation.change_contrast(image, np.random.default_rng(seed))
            .ravel()
            .astype(int)
        )
        assert g == 100 and b - 100 == 100 - r
        differences.add(b - 100)
    assert min(differences) == 2 and max(differences) == 18  # a tenth of 0.2 and of 1.8


@pytest.mark.parametrize(
    ("directions", "expected"),
    [("left_right", {0, 5}), ("upside_down", {0, 18})],
)
def test_flips_in_one_direction_reach_no_other(directions, expected):
    image, label = coordinates(4, 6)
    corners = [
        augmentation.flip(image, label, directions, np.random.default_rng(seed))[1][
            0, 0
        ]
        for seed in range(100)
    ]
    assert set(corners) == expected
    assert 30 < sum(corner == 0 for corner in corners) < 70


@given(st.floats(0.2, 3), st.integers(16, 60), st.integers(16, 80), st.integers(0, 99))
def test_zoom_keeps_the_size_and_image_and_label_together(factor, height, width, seed):
    image, label = coordinates(height, width)
    rng = np.random.default_rng(seed)
    zoomed, classes = augmentation.zoom(image, label, factor, rng)
    assert zoomed.shape == image.shape and classes.shape == label.shape
    labelled = classes >= 0
    share = min(1, factor**2)
    assert share * 0.6 < labelled.mean() <= 1 and (factor < 1 or labelled.all())
    rows, _ = pixel_of_label(classes, width)
    difference = np.abs(zoomed[..., 0].astype(int) - rows)[labelled]
    assert difference.max(initial=0) <= 2 + 1 / factor


def test_zoom_looks_everywhere():
    image, label = coordinates(20, 20)
    seen = {
        int(value)
        for seed in range(300)
        for value in augmentation.zoom(image, label, 2, np.random.default_rng(seed))[
            1
        ].ravel()
    }
    assert len(seen) == 400


def test_jitter_multiplies_each_channel_and_adds():
    image = np.full((2, 2, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    assert (augmentation.jitter_colors(image, (1.2, 1.2), 0, rng) == 120).all()
    jittered = augmentation.jitter_colors(image, (0.5, 1.5), 30, rng)
    assert len({int(v) for v in jittered[0, 0]}) == 3
    assert (jittered >= 20).all() and (jittered <= 180).all()
    assert (jittered == jittered[0, 0]).all()


def test_jitter_is_clipped_not_wrapped():
    image = np.array([[[0, 128, 255]]], np.uint8)
    bright = augmentation.jitter_colors(image, (4, 4), 0, np.random.default_rng(0))
    assert bright.tolist() == [[[0, 255, 255]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_of_every_grey_level_is_the_formula(channels):
    levels = np.repeat(np.arange(256, dtype=np.uint8), channels).reshape(2, 128, -1)
    jittered = augmentation.jitter_colors(
        levels, (0.5, 1.5), 30, np.random.default_rng(3)
    )
    rng = np.random.default_rng(3)
    gains, offsets = rng.uniform(0.5, 1.5, channels), rng.uniform(-30, 30, channels)
    expected = np.clip(levels * gains + offsets, 0, 255)
    assert np.abs(jittered - expected).max() <= 0.5 + 1e-4


def test_zoom_to_less_than_a_pixel_leaves_one_pixel():
    """112 x 160 pixels times 0.0089: the height would be rounded down to 0."""
    image, label = augmentation.zoom(
        *coordinates(112, 160), 0.0089, np.random.default_rng(0)
    )
    assert image.shape == (112, 160, 3) and label.shape == (112, 160)
    assert np.count_nonzero(label >= 0) == 1


class Highest:
    """Stands in for random numbers: the upper end of each range."""

    def uniform(self, low, high, *_):
        return high


def test_gamma_bends_the_grey_levels_between_black_and_white():
    image = np.array([0, 64, 255], np.uint8).reshape(1, 3, 1)
    toned = augmentation.change_tone(image, [1, 2], [1, 1], Highest())
    assert toned.ravel().tolist() == [0, 16, 255]  # 255 (64 / 255)^2 = 16.06


def test_saturation_moves_colours_away_from_their_grey():
    image = np.array([[[200, 100, 100]]], np.uint8)
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 100
    for factor in (0, 0.5, 1.3):
        toned = augmentation.change_tone(image, [1, 1], [factor, factor], Highest())
        expected = grey + factor * (image.ravel() - grey)
        np.testing.assert_allclose(toned.ravel(), expected, atol=1)
