"""One training image as the network is given it epoch by epoch, and upside down: augmentation's figure."""

import chainer
import numpy as np

from dataset.augmentation import resize_pair
from dataset.epoch_order import EpochOrder
from learning.pictures import jpeg, normalized_photo, png
from learning.subject import Subject
from mini_batch_loader import DatasetPreProcessor

_EPOCHS = 16
_WIDTH = 320  # pixels of a picture, at most: the page shows 32


def figure(subject: Subject) -> dict:
    """The first training image in sixteen epochs, and validation images upside down."""
    table, normalizer = subject.args.label_table, subject.args.normalizer
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    pairs = [_shown(*dataset[number], normalizer) for number in draws(dataset)]
    image, _ = subject.images[0]
    views = np.stack([subject.normalized(view) for view in (image, image[::-1])])
    upright, upside_down = map(table.colors_of_classes, subject.classes(views))
    return {
        "name": dataset.names[0],
        "pairs": [
            {
                "image": jpeg(picture, 80),
                "label": png(table.colors_of_classes(label)),
            }
            for picture, label in pairs
        ],
        "upright": png(upright),
        "upside_down": png(upside_down),
        "photo_upside_down": jpeg(np.ascontiguousarray(image[::-1])),
        "scores": {
            "upright": subject.trained_score,
            "upside_down": subject.score(upside_down=True),
        },
        "is_on": dataset.args.aug_params.do_augment,
    }


def draws(dataset: DatasetPreProcessor) -> list[int]:
    """The numbers with which the training's first epochs draw the first image."""
    args = dataset.args
    order = EpochOrder(len(dataset), args.training_params.batch_size, args.seed)
    numbers = np.stack([order.order(epoch) for epoch in range(1, _EPOCHS + 1)])
    return numbers[
        (numbers != EpochOrder.PADDING) & (numbers % len(dataset) == 0)
    ].tolist()


def _shown(x: np.ndarray, label: np.ndarray, normalizer: str):
    """An example as pictures: uint8 (H, W, C) and class numbers int16 (H, W)."""
    picture = normalized_photo(x, normalizer)
    scale = min(1.0, _WIDTH / picture.shape[1])
    return resize_pair(picture, label.astype(np.int16), scale)
