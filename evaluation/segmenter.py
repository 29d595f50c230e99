"""Runs the network on one picture of any size, from its pixels to a class for each of them."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace

import chainer
import numpy as np
from chainer.backends import cuda

from dataset.augmentation import resize_image
from files.opencv import cv2
from image_normalizer import make_normalizer

# An input of more pixels goes through the network in tiles: its maps take 100 to 3000 bytes a
# pixel. Neighbouring tiles overlap by a margin, whose scores are discarded: a score depends on no
# pixel further away, so that tiles give the same scores as the whole picture.
_WHOLE_PIXELS = 768 * 768
_TILE = 512
_MARGIN = 128
# Small photos go through the network together, up to so many pixels as it sees them. A larger photo
# keeps all cores busy by itself.
_TOGETHER_PIXELS = _WHOLE_PIXELS
# Scores are brought to the photo's size in strips of this many pixels.
_UPSAMPLED_PIXELS = 1 << 20


class Segmenter:
    """A model, together with what it needs to be applied to a photo.

    Args:
        model (FCN): on its device.
        args (SimpleNamespace): ``chainer.global_config.user_test_args``, for in_ch, n_class,
            image_scale, normalizer and user_multiple.
        device (chainer.backend.Device): where the model is.
        mirror (bool): average the scores with those of the mirrored picture: twice the work.
        scales (sequence of float): average the scores of the picture scaled by each of these.
        temperature (float): what scores are divided by before they become probabilities.
    """

    def __init__(
        self,
        model,
        args: SimpleNamespace,
        device: chainer.backend.Device,
        mirror: bool = False,
        scales: Sequence[float] = (1.0,),
        temperature: float = 1.0,
    ):
        self.n_class = args.n_class
        self.in_ch = args.in_ch
        self._scale = args.image_scale
        self.temperature = temperature
        self._model = model
        self._device = device
        self._mirror = mirror
        self._scales = scales
        self._normalize = make_normalizer(args.normalizer)
        # The network halves the size four times at most; tiles must begin at a multiple of 16.
        self._user_multiple = args.user_multiple
        self._multiple = math.lcm(16, args.user_multiple)
        self.dtype = np.uint8 if args.n_class <= 256 else np.uint16

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Class scores before softmax; their mean over the scales and both ways, if asked for.

        Args:
            x: float32 (C, H, W), normalised; both sides multiples of user_multiple.

        Returns:
            ndarray: float32 (n_class, H, W).
        """
        sizes = [[self._scaled_side(n, s) for n in x.shape[1:]] for s in self._scales]
        found = [_resized(self._scores(_resized(x, *s)), *x.shape[1:]) for s in sizes]
        return found[0] if len(found) == 1 else sum(found) / np.float32(len(found))

    def _scaled_side(self, side: int, scale: float) -> int:
        """A side times a scale, as the nearest size that the network takes."""
        if scale == 1:
            return side
        return max(1, round(side * scale / self._multiple)) * self._multiple

    def _scores(self, x: np.ndarray) -> np.ndarray:
        """scores() of a picture as it is."""
        if not self._mirror:
            return self._network(x[None])[0]
        scores = self._network(np.stack([x, x[:, :, ::-1]]))
        return (scores[0] + scores[1, :, :, ::-1]) / 2

    def _network(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (N, C, H, W) -> the network's scores (N, n_class, H, W)."""
        # All of this thread alone: another one may use another model at the same time.
        with (
            chainer.using_device(self._device),
            chainer.no_backprop_mode(),
            chainer.using_config("train", False),
            chainer.using_config("user_multiple", self._user_multiple),
        ):
            return cuda.to_cpu(self._model.scores(self._device.send(pictures)).array)

    def classes(self, photo: np.ndarray) -> np.ndarray:
        """The class of each pixel at the photo's own size.

        The photo is scaled by image_scale, further down to the next multiple of user_multiple,
        and normalised: the size that training cuts its images to. The scores are brought to the
        photo's size before the largest is taken, which gives smooth edges.

        Args:
            photo: uint8 (H, W, in_ch), RGB or grey, any size.

        Returns:
            ndarray: uint8 (uint16 above 256 classes) (H, W).
        """
        return self._segment(photo, None)

    def classes_of_all(self, photos: list[np.ndarray]) -> list[np.ndarray]:
        """classes() of photos of one size, which go through the network together.

        So an image takes less time, above all beside other threads: layers wait less often for
        each other. Large photos, and those that are seen more than once, go one by one.
        """
        height, width = photos[0].shape[:2]
        small = self._network_size(height), self._network_size(width)
        is_whole = small[0] * small[1] <= _TOGETHER_PIXELS // len(photos)
        if not is_whole or self._mirror or tuple(self._scales) != (1.0,):
            return [self.classes(photo) for photo in photos]
        pictures = [self._prepared(photo, small) for photo in photos]
        lines = _neighbours(height, small[0])
        results = np.empty((len(photos), height, width), self.dtype)
        for scores, result in zip(self._network(np.stack(pictures)), results):
            _upsampled_argmax(scores[:, : small[0], : small[1]], *lines, result)
        return list(results)

    def _prepared(self, photo: np.ndarray, small: tuple[int, int]) -> np.ndarray:
        """What the network sees of a photo, scaled to a size: float32 (C, H, W)."""
        return self._fill_up(self._normalize(resize_image(photo, *small)))

    def classes_and_confidence(
        self, photo: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As classes(), and how sure the network is of each pixel.

        The scores at the photo's size are divided by the temperature (Guo et al. 2017), and
        softmax makes probabilities of them.

        Returns:
            tuple: the classes; float32 (H, W), the probability of the class taken.
        """
        confidence = np.empty(photo.shape[:2], np.float32)
        return self._segment(photo, confidence), confidence

    def _segment(self, photo: np.ndarray, confidence: np.ndarray | None) -> np.ndarray:
        """The classes; into confidence, if there is one, the probability of the class taken."""
        height, width = photo.shape[:2]
        small = self._network_size(height), self._network_size(width)
        x = self._prepared(photo, small)
        result = np.empty((height, width), self.dtype)
        above, below, share = _neighbours(height, small[0])
        for top, end, strip in self._strips(x):
            # The photo's rows that lie between rows of this strip; the last ones need the row below it.
            rows = slice(*np.searchsorted(above, (top, end)))
            strip = strip[:, : small[0] - top, : small[1]]
            lines = above[rows] - top, below[rows] - top, share[rows]
            if confidence is None:
                _upsampled_argmax(strip, *lines, result[rows])
            else:
                strip = strip / np.float32(self.temperature)
                _upsampled_argmax(strip, *lines, result[rows], confidence[rows])
        return result

    def strips(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """As scores(), but of a large input strip by strip, so that it needs bounded memory.

        Yields:
            tuple: rows of x, and their scores float32 (n_class, rows, W).
        """
        for top, end, strip in self._strips(x):
            yield slice(top, end), strip[:, : end - top]

    def _strips(self, x: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Strips of x, from top to end, and their scores, with those of the row at end if there is one."""
        tile = _TILE if x.shape[1] * x.shape[2] > _WHOLE_PIXELS else max(x.shape)
        tile = -(-tile // self._multiple) * self._multiple
        for top in range(0, x.shape[1], tile):
            end = min(top + tile, x.shape[1])
            yield top, end, self._strip(x, top, tile)

    def _network_size(self, side: int) -> int:
        """A side as the network sees it: scaled, and down to a multiple, if it is that large.

        The maps' borders are padded with zeros, and a network learns where they lie. On CamVid's
        drive at dusk, left out of the training at 112 x 80 pixels, photos of 120 x 90 gave 25.0 %
        mean IoU when they were scaled to 112 x 80, and 18.9 % when filled up to 128 x 96.
        """
        scaled = max(1, int(side * self._scale))
        return scaled - scaled % self._multiple or scaled

    def _fill_up(self, image: np.ndarray) -> np.ndarray:
        """float32 (H, W, C) -> (C, H', W'): a side below user_multiple is mirrored up to it."""
        bottom, right = (-side % self._multiple for side in image.shape[:2])
        if not bottom and not right:  # a copy would take as much memory again
            return np.ascontiguousarray(image.transpose(2, 0, 1))
        filled = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
        filled = filled.reshape(*filled.shape[:2], image.shape[2])
        return np.ascontiguousarray(filled.transpose(2, 0, 1))

    def _strip(self, x: np.ndarray, top: int, tile: int) -> np.ndarray:
        """Scores of the rows from top to top + tile, and one more: (n_class, rows, W)."""
        margin = _MARGIN / min(1, *self._scales)
        margin = math.ceil(margin / self._multiple) * self._multiple
        height, width = x.shape[1:]
        if height <= tile and width <= tile:
            return self.scores(x)
        rows = slice(max(top - margin, 0), min(top + tile + margin, height))
        kept = slice(top - rows.start, min(top + tile + 1, height) - rows.start)
        strip = np.empty((self.n_class, kept.stop - kept.start, width), np.float32)
        for left in range(0, width, tile):
            right = min(left + tile, width)
            start = max(left - margin, 0)
            window = x[:, rows, start : min(right + margin, width)]
            scores = self.scores(np.ascontiguousarray(window))
            strip[:, :, left:right] = scores[:, kept, left - start : right - start]
        return strip


def _resized(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Maps (C, h, w) by linear interpolation; an area's mean where they become smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    shrinks = height * width < maps.shape[1] * maps.shape[2]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = width, height
    return np.stack([cv2.resize(m, size, interpolation=interpolation) for m in maps])


def _neighbours(size: int, source: int):
    """For linear interpolation: two source pixels a target pixel, and the second one's weight."""
    # Half-pixel centres, as in OpenCV's INTER_LINEAR.
    position = (np.arange(size) + 0.5) * (source / size) - 0.5
    position = np.clip(position, 0, source - 1)
    above = position.astype(np.int64)
    return above, np.minimum(above + 1, source - 1), (position - above).astype("f4")


def _upsampled_argmax(
    scores,
    above,
    below,
    share,
    result: np.ndarray,
    confidence: np.ndarray | None = None,
) -> None:
    """Bring scores to the size of result, class by class, and keep the number of the largest.

    Args:
        scores (ndarray): float32 (n_class, h, w).
        above, below, share (ndarray): (H,), as from _neighbours().
        result (ndarray): (H, W), is written.
        confidence (ndarray): float32 (H, W), if given: the softmax of the largest is written.
    """
    height, width = result.shape
    chunk = max(1, _UPSAMPLED_PIXELS // width)
    for start in range(0, height, chunk):
        rows = slice(start, start + chunk)
        upsampled = partial(_upsampled, above[rows], below[rows], share[rows], width)
        largest = None
        for number, plane in enumerate(scores):
            # One class at a time: all at once would need n_class times as much memory.
            lines = upsampled(plane)
            if largest is None:
                largest = lines
                result[rows] = 0
            else:
                np.putmask(result[rows], lines > largest, number)
                np.maximum(largest, lines, out=largest)
        if confidence is not None:
            # exp(largest) / sum(exp(scores)), without numbers that overflow.
            odds = sum(np.exp(upsampled(plane) - largest) for plane in scores)
            np.divide(1, odds, out=confidence[rows])


def _upsampled(above, below, share, width: int, plane: np.ndarray) -> np.ndarray:
    """Scores of one class, some rows of them: float32 (h, w) -> (rows, width)."""
    upper, lower = plane[above], plane[below]
    lines = upper + (lower - upper) * share[:, None]
    return cv2.resize(lines, (width, len(lines)))
