"""One training image as the network is given it epoch by epoch, and upside down: augmentation's figure."""

import chainer_compat

import chainer
import numpy as np

from dataset.epoch_order import EpochOrder
from learning.pictures import jpeg, normalized_photo, png
from learning.subject import Subject
from mini_batch_loader import DatasetPreProcessor

_EPOCHS = 16


def figure(subject: Subject) -> dict:
    """The first training image in sixteen epochs, and validation images upside down."""
    table, normalizer = subject.args.label_table, subject.args.normalizer
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    pairs = [dataset[number] for number in draws(dataset)]
    image, _ = subject.images[0]
    views = np.stack([subject.normalized(view) for view in (image, image[::-1])])
    upright, upside_down = map(table.colors_of_classes, subject.classes(views))
    return {
        "name": dataset.names[0],
        "pairs": [
            {
                "image": jpeg(normalized_photo(x, normalizer), 80),
                "label": png(table.colors_of_classes(label)),
            }
            for x, label in pairs
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
