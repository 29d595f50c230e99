"""The trained network and the photo that all figures are made from; learn.py loads them."""

import os
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import chainer
import numpy as np

from dataset.augmentation import crop_to_multiple, resize_image, scaled_size
from dataset.image_reader import read_image
from evaluator import confusion_matrix, summarize
from fcn_squeeze import FCN
from files.errors import UserError
from image_normalizer import make_normalizer
from mini_batch_loader import DatasetPreProcessor
from training.recipe import network_options

# Photos are shown, and computed with, up to this height and width: the page stays small.
_MAX_SIZE = 256, 352
_SCORED = 32  # validation images that a figure is computed over, at most
_AT_ONCE = 8  # of them in a batch


@dataclass(frozen=True)
class Subject:
    """What the figures are made from.

    Args:
        args (SimpleNamespace): ``chainer.global_config.user_val_args``.
        model (FCN): trained.
        fresh (FCN): the same network with the weights that the training began with.
        photo (ndarray): uint8 (H, W, in_ch), scaled and cropped for the network.
        name (str): of the photo's file.
        images (list of tuple): validation images, uint8 (H, W, in_ch), and their labels,
            int32 (H, W); the first one is the example of the figures that need a label.
    """

    args: SimpleNamespace
    model: FCN
    fresh: FCN
    photo: np.ndarray
    name: str
    images: list[tuple[np.ndarray, np.ndarray]]

    def normalized(self, image: np.ndarray, normalizer: str = "") -> np.ndarray:
        """uint8 (H, W, in_ch) -> float32 (in_ch, H, W), as the training normalises it."""
        normalize = make_normalizer(normalizer or self.args.normalizer)
        return np.ascontiguousarray(normalize(image).transpose(2, 0, 1))

    def classes(self, x: np.ndarray, model: FCN | None = None) -> np.ndarray:
        """What a model (the trained one) makes of images.

        Args:
            x: float32 (N, in_ch, H, W), normalised.
            model: another network.

        Returns:
            ndarray: int (N, H, W), class numbers.
        """
        with chainer.no_backprop_mode(), chainer.using_config("train", False):
            return (model or self.model).scores(x).array.argmax(axis=1)

    def score(self, model: FCN | None = None, upside_down: bool = False) -> dict:
        """summarize() of what a model makes of the validation images."""
        confusion = np.zeros((self.args.n_class,) * 2, np.int64)
        for shape in {image.shape for image, _ in self.images}:
            alike = [pair for pair in self.images if pair[0].shape == shape]
            for first in range(0, len(alike), _AT_ONCE):
                images, truths = zip(*alike[first : first + _AT_ONCE])
                if upside_down:
                    images, truths = (
                        [a[::-1] for a in pair] for pair in (images, truths)
                    )
                x = np.stack([self.normalized(image) for image in images])
                found = self.classes(x, model)
                confusion += confusion_matrix(
                    np.stack(truths), found, self.args.n_class
                )
        return summarize(confusion)

    @cached_property
    def trained_score(self) -> dict:
        """score() of the trained model."""
        return self.score()


def load_subject(args: SimpleNamespace, model: FCN, photo: str | None) -> Subject:
    """Load the photo and the validation images.

    Args:
        args: ``chainer.global_config.user_val_args``.
        model: trained.
        photo: a file; None: the first validation image.

    Raises:
        UserError: a file cannot be read.
    """
    dataset = DatasetPreProcessor(args)
    images = [
        _window(*dataset.plain_pair(index))
        for index in range(min(_SCORED, len(dataset)))
    ]
    picture, name = images[0][0], dataset.names[0]
    if photo is not None:
        picture, name = _scaled(photo, args), os.path.basename(photo)
    return Subject(args, model, new_network(args), picture, name, images)


def new_network(args: SimpleNamespace, dilated: bool | None = None) -> FCN:
    """The network with the weights that a training with these settings begins with (train.py).

    But for init_weights: as if it were not set.

    Args:
        args: as in Subject.
        dilated: the chapter's second network or its first; None: the one of the settings.
    """
    options = network_options(args, None)
    if dilated is not None:
        options["dilated"] = dilated
    state = np.random.get_state()
    np.random.seed(args.seed)
    model = FCN(args.n_class, args.in_ch, **options)
    np.random.set_state(state)
    return model


def _scaled(path: str, args: SimpleNamespace) -> np.ndarray:
    """A photo as the network takes it: uint8 (H, W, in_ch)."""
    photo = read_image(path, args.in_ch)
    size = scaled_size(photo.shape[:2], args.image_scale)
    multiple = chainer.global_config.user_multiple
    if min(size) < multiple:
        raise UserError(
            f"--photo: {path}: scaled by image_scale to {size[1]} x {size[0]} pixels, the photo is "
            f"smaller than user_multiple ({multiple}); take a larger one"
        )
    photo = resize_image(photo, *size)
    return _window(photo, np.zeros(size, np.int16))[0]


def _window(image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a pair, multiples of user_multiple and at most _MAX_SIZE: uint8, int32."""
    top, left = (max(0, side - most) // 2 for side, most in zip(label.shape, _MAX_SIZE))
    inside = np.s_[top : top + _MAX_SIZE[0], left : left + _MAX_SIZE[1]]
    multiple = chainer.global_config.user_multiple
    image, label = crop_to_multiple(image[inside], label[inside], multiple, (0.5, 0.5))
    return np.ascontiguousarray(image), label.astype(np.int32, order="C")
