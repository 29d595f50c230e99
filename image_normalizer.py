"""Global and local contrast normalisation of an image, before the network sees it."""

from collections.abc import Callable

import numpy as np

from files.opencv import cv2

# Jarrett et al. (2009) weight a 9x9 window by a Gaussian; a deviation of a quarter of the
# window lets the weights fall to a seventh at its edge.
WINDOW = (9, 9)
WINDOW_SIGMA = 9 / 4


class ImageNormalizer:
    """The chapter's normaliser; both methods leave their argument as it is."""

    def GCN(self, image: np.ndarray) -> np.ndarray:
        """Global contrast normalisation: each channel to mean 0 and deviation 1.

        Args:
            image (ndarray): (H, W, C), any number of channels, any real dtype.

        Returns:
            ndarray: float32 (H, W, C). A constant channel becomes 0.
        """
        image = image.astype(np.float32)
        pixels = image.reshape(-1, 1, image.shape[2])
        mean, deviation = (figures.ravel() for figures in cv2.meanStdDev(pixels))
        # Rounding leaves a constant channel of float32 values a deviation of about 1e-7 of them.
        constant = deviation <= 1e-6 * np.abs(mean)
        gain = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        # In place: out of place, a photo of 80 megapixels would take 4 GB as float64 in between.
        image -= mean
        image *= gain
        return image

    def LCN(self, image: np.ndarray) -> np.ndarray:
        """Local contrast normalisation, each channel by itself (Jarrett et al. 2009).

        Subtracts the Gaussian-weighted mean of the neighbourhood and divides by the larger of
        the local deviation and its mean over the image, so that flat regions (sky) are not
        blown up to noise.

        Args:
            image (ndarray): (H, W, C), any number of channels, any real dtype.

        Returns:
            ndarray: float32 (H, W, C). A constant channel becomes 0.
        """
        channels = [_lcn_channel(channel) for channel in np.moveaxis(image, 2, 0)]
        return np.stack(channels, axis=2)


def make_normalizer(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function for a value of the ``normalizer`` key: uint8 (H, W, C) -> float32 (H, W, C)."""
    normalizer = ImageNormalizer()
    return {
        "GCN": normalizer.GCN,
        "LCN": normalizer.LCN,
        "none": lambda image: np.divide(image, 255, dtype=np.float32),
    }[name]


def _lcn_channel(channel: np.ndarray) -> np.ndarray:
    channel = channel.astype(np.float32)
    centred = channel - cv2.GaussianBlur(channel, WINDOW, WINDOW_SIGMA)
    deviation = np.sqrt(cv2.GaussianBlur(centred * centred, WINDOW, WINDOW_SIGMA))
    floor = float(deviation.mean())
    if floor <= 1e-6 * float(np.abs(channel).mean()):  # constant, up to rounding
        return np.zeros_like(channel)
    return centred / np.maximum(deviation, floor)
