import numpy as np
import pytest

from image_normalizer import ImageNormalizer

RNG = np.random.default_rng(1)


def test_gcn_brings_each_channel_to_mean_0_and_deviation_1():
    image = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    expected = (image - image.mean(axis=(0, 1))) / image.std(axis=(0, 1))
    np.testing.assert_allclose(ImageNormalizer().GCN(image), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["GCN", "LCN"])
@pytest.mark.parametrize("value", [0, 1, 77, 255, 0.1, 1e6])
def test_constant_channel_becomes_zero(method, value):
    image = RNG.uniform(0, 255, (12, 14, 2))
    image[..., 1] = value
    normalized = getattr(ImageNormalizer(), method)(image)
    assert np.isfinite(normalized).all()
    assert not normalized[..., 1].any() and normalized[..., 0].any()


@pytest.mark.parametrize("method", ["GCN", "LCN"])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_any_number_of_channels_each_by_itself(method, channels):
    image = RNG.integers(0, 256, (15, 17, channels), np.uint8)
    before = image.copy()
    normalize = getattr(ImageNormalizer(), method)
    normalized = normalize(image)
    assert normalized.shape == image.shape and normalized.dtype == np.float32
    for c in range(channels):
        np.testing.assert_allclose(
            normalize(image[..., c : c + 1])[..., 0],
            normalized[..., c],
            rtol=1e-5,
            atol=1e-6,
        )
    np.testing.assert_array_equal(image, before)


def test_lcn_is_the_formula_of_jarrett_et_al():
    """Written out with a sum over the window of each pixel, away from the border."""
    image = RNG.uniform(0, 255, (30, 30, 1))
    offsets = np.arange(-4, 5)
    weights = np.exp(-(offsets**2) / (2 * 2.25**2))
    window = np.outer(weights, weights) / weights.sum() ** 2

    def weighted_mean(plane):
        padded = np.pad(plane, 4, mode="reflect")
        return np.array(
            [
                [(window * padded[i : i + 9, j : j + 9]).sum() for j in range(30)]
                for i in range(30)
            ]
        )

    centred = image[..., 0] - weighted_mean(image[..., 0])
    deviation = np.sqrt(weighted_mean(centred**2))
    expected = centred / np.maximum(deviation, deviation.mean())
    np.testing.assert_allclose(
        ImageNormalizer().LCN(image)[..., 0], expected, atol=1e-4
    )


def test_lcn_brings_a_dark_and_a_bright_half_to_the_same_contrast():
    texture = RNG.normal(size=(40, 80))
    image = np.where(np.arange(80) < 40, 50 + 4 * texture, 200 + 4 * texture)[..., None]
    normalized = ImageNormalizer().LCN(image)[..., 0]
    assert normalized[:, 8:32].std() == pytest.approx(
        normalized[:, 48:72].std(), rel=0.2
    )
