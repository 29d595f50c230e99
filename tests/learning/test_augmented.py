"""The augmented images are those that the training draws."""

import chainer_compat

import chainer

from dataset.epoch_order import EpochOrder
from learning import augmented
from mini_batch_loader import DatasetPreProcessor


def test_the_first_image_is_shown_as_each_of_sixteen_epochs_draws_it(small_data):
    small_data.load(augmentation_params={"do_augment": True})
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    numbers = augmented.draws(dataset)
    assert len(numbers) == 16
    order = EpochOrder(5, 2, 0)
    for epoch, number in enumerate(numbers, 1):
        assert number in order.order(epoch)
        assert dataset.file_names([number]) == ["train_0.png"]
