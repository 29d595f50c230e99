"""Scales, crops and augments a pair of image and label; training_pairs.py and mini_batch_loader.py call it.

Images are uint8 (H, W, C), labels int16 (H, W). Both always go through the same geometry.
"""

from types import SimpleNamespace

import numpy as np

from files.opencv import cv2

_MAX_BRIGHTNESS = 63  # of 255 grey levels
_CONTRAST = (0.2, 1.8)


def resize_pair(image: np.ndarray, label: np.ndarray, scale: float):
    """Scale a pair, rounding the size down; labels take the nearest pixel, never a mean of classes.

    Returns:
        tuple: image uint8 (int(H scale), int(W scale), C) and label int16 of the same size; at
        least one pixel.
    """
    height, width = scaled_size(label.shape, scale)
    if (height, width) == label.shape:
        return image, label
    # INTER_NEAREST takes the upper left pixel, half a pixel off the image's centre.
    classes = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resize_image(image, height, width), classes


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) times a scale, rounded down, but at least 1."""
    height, width = size
    return max(1, int(height * scale)), max(1, int(width * scale))


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale an image alone: uint8 (H, W, C) -> uint8 (height, width, C)."""
    if image.shape[:2] == (height, width):
        return image
    # Averaging when shrinking: bilinear sampling would drop thin poles between its samples.
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return resized.reshape(height, width, -1)


def crop_to_multiple(image: np.ndarray, label: np.ndarray, multiple: int, where):
    """Cut both sides down to multiples.

    Args:
        where (pair of float): which of the possible vertical and horizontal offsets, in [0, 1).
    """
    height, width = (side - side % multiple for side in label.shape)
    top, left = (
        int(share * (side % multiple + 1))
        for share, side in zip(where, label.shape, strict=True)
    )
    window = np.s_[top : top + height, left : left + width]
    return image[window], label[window]


def augment(
    image: np.ndarray,
    label: np.ndarray,
    params: SimpleNamespace,
    rng: np.random.Generator,
):
    """All augmentation of one pair that keeps its size; it has been scaled and cropped.

    Args:
        params: ``augmentation_params`` of the configuration.
        rng: takes as many numbers as the steps that are switched on need.

    Returns:
        tuple: image uint8 (H, W, C) and label int16 (H, W), the sizes they came with.
    """
    if params.zoom != [1, 1]:
        image, label = zoom(image, label, rng.uniform(*params.zoom), rng)
    if params.do_flip:
        image, label = flip(image, label, params.flips, rng)
    return change_light(image, params, rng), label


def change_light(
    image: np.ndarray, params: SimpleNamespace, rng: np.random.Generator
) -> np.ndarray:
    """The augmentations that change the grey levels alone; params as in augment()."""
    if params.change_brightness:
        image = change_brightness(image, rng)
    if params.change_contrast:
        image = change_contrast(image, rng)
    if params.color_gain != [1, 1] or params.color_offset:
        image = jitter_colors(image, params.color_gain, params.color_offset, rng)
    if params.gamma != [1, 1] or params.saturation != [1, 1]:
        image = change_tone(image, params.gamma, params.saturation, rng)
    return image


def zoom(image: np.ndarray, label: np.ndarray, factor: float, rng: np.random.Generator):
    """Scale a pair, then cut a window of the size it had out of it, as random_window() does.

    Returns:
        tuple: image uint8 (H, W, C) and label int16 (H, W), the sizes they came with.
    """
    return random_window(*resize_pair(image, label, factor), label.shape, rng)


def random_window(
    image: np.ndarray,
    label: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
):
    """Cut a window of some size (H, W) out of a pair, at random.

    Where the pair is too small it is padded, the image with its mirror image, the label with
    -1 (unlabelled), so that nothing is learnt from mirrored pixels.

    Returns:
        tuple: image (H, W, C) of the dtype it came with, and label int16 (H, W).
    """
    margins = [_margins(want - have, rng) for want, have in zip(size, label.shape)]
    if any(map(any, margins)):
        edges = *margins[0], *margins[1]
        channels = image.shape[2:]
        image = cv2.copyMakeBorder(image, *edges, cv2.BORDER_REFLECT_101)
        image = image.reshape(*image.shape[:2], *channels)
        label = cv2.copyMakeBorder(label, *edges, cv2.BORDER_CONSTANT, value=-1)
    top, left = (rng.integers(have - want + 1) for want, have in zip(size, label.shape))
    window = np.s_[top : top + size[0], left : left + size[1]]
    return image[window], label[window]


def _margins(missing: int, rng: np.random.Generator) -> tuple[int, int]:
    """Pixels to add before and after a side that lacks so many."""
    before = int(rng.integers(max(missing, 0) + 1))
    return before, max(missing, 0) - before


def flip(
    image: np.ndarray, label: np.ndarray, directions: str, rng: np.random.Generator
):
    """Mirror at random.

    Args:
        directions: "left_right" or "upside_down", each in 1/2 of the cases; "both" as the book
            does: both ways in 1/2 of the cases, upside down in 1/4, left-right in 1/8.
    """
    both, vertical, horizontal = rng.integers(0, 2, 3, dtype=np.int8)
    if directions != "both":
        both = False
        vertical = vertical and directions == "upside_down"
        horizontal = horizontal and directions == "left_right"
    if both or vertical:
        image, label = image[::-1], label[::-1]
    if both or (horizontal and not vertical):
        image, label = image[:, ::-1], label[:, ::-1]
    return image, label


def change_brightness(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In half of the cases, add up to 63 grey levels, up or down; uint8, clipped."""
    if rng.integers(0, 2):
        return image
    shifted = image + np.float32(rng.uniform(-_MAX_BRIGHTNESS, _MAX_BRIGHTNESS))
    return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


def change_contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In half of the cases, stretch by a factor in [0.2, 1.8]; uint8, clipped.

    As in the book, each pixel's channels are stretched about their mean, which changes how
    vivid the colours are; a grey image, where that would do nothing, about its own mean.
    """
    if rng.integers(0, 2):
        return image
    centre = image.mean(
        axis=2 if image.shape[2] > 1 else None, keepdims=True, dtype=np.float32
    )
    stretched = (image - centre) * np.float32(rng.uniform(*_CONTRAST)) + centre
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8)


def jitter_colors(
    image: np.ndarray,
    gain: tuple[float, float],
    offset: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Give each channel a light of its own: times a gain, plus an offset; uint8, clipped.

    GCN brings each channel to mean 0 and deviation 1, which undoes the gain and the offset. What
    remains is what was clipped: as in an overexposed photo, bright pixels all become 255.

    Args:
        gain: the range of the factors.
        offset: at most so many grey levels up or down.
    """
    channels = image.shape[2]
    gains = rng.uniform(*gain, channels).astype(np.float32)
    offsets = rng.uniform(-offset, offset, channels).astype(np.float32)
    # Computed once for each of the 256 grey levels, then looked up: a tenth of the time.
    # (256, C) -> (1, 256, C), OpenCV's table.
    levels = np.arange(256, dtype=np.float32)[:, None] * gains + offsets
    levels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    jittered = cv2.LUT(np.ascontiguousarray(image), levels.reshape(1, 256, channels))
    return jittered.reshape(image.shape)


def change_tone(
    image: np.ndarray,
    gamma: tuple[float, float],
    saturation: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Brighten or darken the middle tones, and make the colours stronger or weaker; uint8, clipped.

    GCN undoes neither: a gamma bends the grey levels, and a saturation mixes the channels.

    Args:
        gamma: the range of the exponent of grey levels in [0, 1], drawn evenly in its logarithm.
        saturation: the range of the factor of a pixel's distance from its grey value.
    """
    exponent = np.exp(rng.uniform(*np.log(gamma)))
    levels = np.rint(255 * np.linspace(0, 1, 256) ** exponent).astype(np.uint8)
    toned = cv2.LUT(np.ascontiguousarray(image), levels).reshape(image.shape)
    if image.shape[2] == 1:
        return toned
    factor = rng.uniform(*saturation)
    grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(toned, factor, grey, 1 - factor, 0)
