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
        planes = _planes(image)
        mean, deviation = np.array([cv2.meanStdDev(plane) for plane in planes]).T[0, 0]
        # Rounding leaves a constant channel of float32 values a deviation of about 1e-7 of them.
        constant = deviation <= 1e-6 * np.abs(mean)
        gain = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        # In place: out of place, a photo of 80 megapixels would take 4 GB as float64 in between.
        planes -= mean[:, None, None]
        planes *= gain[:, None, None]
        return planes.transpose(1, 2, 0)

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
        planes = _planes(image)
        for plane in planes:
            _normalize_locally(plane)
        return planes.transpose(1, 2, 0)


def make_normalizer(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function for a value of the ``normalizer`` key: uint8 (H, W, C) -> float32 (H, W, C)."""
    normalizer = ImageNormalizer()
    return {
        "GCN": normalizer.GCN,
        "LCN": normalizer.LCN,
        "none": _scaled_to_1,
    }[name]


def _scaled_to_1(image: np.ndarray) -> np.ndarray:
    planes = _planes(image)
    planes /= 255
    return planes.transpose(1, 2, 0)


def _planes(image: np.ndarray) -> np.ndarray:
    """A copy of (H, W, C), channel after channel as the network takes it: float32 (C, H, W)."""
    return image.transpose(2, 0, 1).astype(np.float32, order="C")


def _normalize_locally(plane: np.ndarray) -> None:
    """LCN of a channel float32 (H, W), in place."""
    rounding = 1e-6 * float(np.abs(plane).mean())
    plane -= cv2.GaussianBlur(plane, WINDOW, WINDOW_SIGMA)
    deviation = cv2.GaussianBlur(plane * plane, WINDOW, WINDOW_SIGMA)
    np.sqrt(deviation, out=deviation)
    floor = float(deviation.mean())
    if floor <= rounding:  # constant, up to float32 rounding
        plane[:] = 0
        return
    plane /= np.maximum(deviation, floor, out=deviation)
