"""Applies a network to photos (files or arrays) and holds the result of each; load() returns a PhotoSegmenter."""

import os
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np

from dataset.image_reader import as_channels, read_any_image
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.confidence_map import draw_confidence
from evaluation.input_files import DistinctNames
from evaluation.segmenter import Segmenter
from files.errors import UserError
from files.png_writer import write_palette_png, write_png

Photo = str | os.PathLike | np.ndarray
_WANTED = "a photo is a path, or a uint8 array (H, W) or (H, W, 3), RGB"
# How the values of other arrays become uint8.
_CONVERSIONS = {
    "b": "photo.astype(np.uint8) * 255",
    "u": "(photo // 257).astype(np.uint8) if its values go up to 65535",
    "f": "(photo * 255).astype(np.uint8) if its values lie in [0, 1] and none is NaN",
}


class Result:
    """What a network made of one photo.

    Attributes:
        name (str): the file's name without its ending; "photo" of an array.
        photo (ndarray): uint8 (H, W, 3) or (H, W, 1).
        classes (ndarray): uint8 (uint16 above 256 classes) (H, W), numbers of the classes.
        names (tuple of str): names of all classes: ``names[classes[y, x]]``.
    """

    def __init__(
        self,
        name: str,
        photo: np.ndarray,
        segmenter: Segmenter,
        table: LabelTable,
        with_confidence: bool,
    ):
        self.name = name
        self.photo = photo
        self.names = table.names
        self._segmenter = segmenter
        self._table = table
        seen = as_channels(photo, segmenter.in_ch)
        if with_confidence:
            self.classes, self.confidence = segmenter.classes_and_confidence(seen)
        else:
            self.classes = segmenter.classes(seen)

    @cached_property
    def confidence(self) -> np.ndarray:
        """float32 (H, W): the probability of the class taken, in (0, 1].

        Where it was not asked for with the classes, the network runs once more for it.
        """
        seen = as_channels(self.photo, self._segmenter.in_ch)
        return self._segmenter.classes_and_confidence(seen)[1]

    @cached_property
    def colors(self) -> np.ndarray:
        """uint8 (H, W, 3), RGB: each pixel in the colour of its class."""
        return self._table.colors_of_classes(self.classes)

    @cached_property
    def overlay(self) -> np.ndarray:
        """uint8 (H, W, 3), RGB: photo and colours, half and half."""
        return panels.overlay(self.photo, self.colors)

    def save(self, folder: str | os.PathLike, name: str | None = None) -> list[str]:
        """Write NAME_classes.png, NAME_color.png and NAME_overlay.png, whole or not at all.

        NAME_confidence.png is written, too, if the confidence was computed. Files of these names
        are replaced.

        Args:
            folder: is made, if there is none.
            name: what stands for NAME; without it, the result's own.

        Returns:
            list of str: the files.

        Raises:
            UserError: one cannot be written.
        """
        target = os.path.join(folder, self.name if name is None else name)
        paths = [f"{target}_{what}.png" for what in ("classes", "color", "overlay")]
        write_palette_png(paths[0], self.classes, self._table.colors)
        write_png(paths[1], self.colors)
        write_png(paths[2], self.overlay)
        if "confidence" in vars(self):
            paths.append(f"{target}_confidence.png")
            draw_confidence(paths[3], self.confidence)
        return paths


class PhotoSegmenter:
    """A trained network that is called with a photo; several threads may call it.

    Args:
        segmenter (Segmenter): the network.
        table (LabelTable): names and colours of its classes.

    Attributes:
        names (tuple of str): names of the classes.
        colors (ndarray): uint8 (n_class, 3), their colours, RGB.
    """

    def __init__(self, segmenter: Segmenter, table: LabelTable):
        self.names, self.colors = table.names, table.colors
        self._segmenter = segmenter
        self._table = table

    def __call__(
        self, photo: Photo | Iterable[Photo], with_confidence: bool = False
    ) -> Result | Iterator[Result]:
        """The classes of a photo, or of several.

        Args:
            photo: a path; or uint8 (H, W), (H, W, 1), grey, or (H, W, 3), RGB, any size; or an
                iterable of these.
            with_confidence: compute the confidence in the same pass, which saves a second one
                where it will be asked for.

        Returns:
            Result: of an iterable, an iterator of them, with names of which no two are the same.
            Each photo is taken and computed when its turn comes; after an error, next() goes on
            with the one behind.

        Raises:
            UserError: the file cannot be read; or the array is of another shape or type.
        """
        if isinstance(photo, str | os.PathLike | np.ndarray):
            return self._result(photo, _name(photo), with_confidence)
        if not isinstance(photo, Iterable):
            raise UserError(f"this photo is of the type {_type(photo)}; {_WANTED}")
        distinct = DistinctNames()

        def result(item: Photo) -> Result:
            return self._result(item, distinct(_name(item)), with_confidence)

        # Unlike a generator, map() does not end at a photo that cannot be used.
        return map(result, photo)

    def _result(self, photo: Photo, name: str, with_confidence: bool) -> Result:
        if isinstance(photo, np.ndarray):
            pixels = _checked(photo)
        elif isinstance(photo, str | os.PathLike):
            pixels = read_any_image(os.fspath(photo))
        else:
            raise UserError(f"this photo is of the type {_type(photo)}; {_WANTED}")
        return Result(name, pixels, self._segmenter, self._table, with_confidence)


def _name(photo: Photo) -> str:
    if not isinstance(photo, str | os.PathLike):
        return "photo"
    return os.path.splitext(os.path.basename(os.fspath(photo)))[0]


def _checked(photo: np.ndarray) -> np.ndarray:
    """An array as uint8 (H, W, 3 or 1); a sentence about any other."""
    shape = f"this photo is an array {photo.dtype} {photo.shape}"
    if photo.ndim == 3 and photo.shape[2] in (2, 4):
        raise UserError(
            f"{shape}: its last channel looks like alpha; give photo[..., :{photo.shape[2] - 1}]"
        )
    if photo.ndim == 3 and photo.shape[0] in (1, 3) and photo.shape[2] not in (1, 3):
        raise UserError(
            f"{shape}: its channels stand first; give photo.transpose(1, 2, 0)"
        )
    if photo.ndim == 4:
        raise UserError(f"{shape}; give several photos as a list: list(photos)")
    if photo.ndim not in (2, 3) or photo.ndim == 3 and photo.shape[2] not in (1, 3):
        raise UserError(f"{shape}; {_WANTED}")
    if not photo.size:
        raise UserError(f"{shape}, without any pixel; {_WANTED}")
    if photo.dtype != np.uint8:
        way = _CONVERSIONS.get(photo.dtype.kind, "an array of uint8")
        raise UserError(f"{shape}; {_WANTED}: give {way}")
    return np.ascontiguousarray(np.atleast_3d(photo))


def _type(photo: object) -> str:
    return f"{type(photo).__module__}.{type(photo).__qualname__}"
