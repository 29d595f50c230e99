"""Which image is drawn when, and what the numbers of an order mean."""

import chainer_compat

import chainer
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataset.batches import stack_examples
from dataset.epoch_order import Draw, EpochOrder
from mini_batch_loader import DatasetPreProcessor


def training_loader(small_data) -> DatasetPreProcessor:
    small_data.load()
    return DatasetPreProcessor(chainer.global_config.user_train_args)


class TestEpochOrder:
    @given(
        st.integers(1, 40), st.integers(1, 12), st.integers(0, 5), st.integers(1, 50)
    )
    def test_every_image_once_an_epoch_and_only_the_last_batch_short(
        self, size, batch_size, seed, epoch
    ):
        numbers = EpochOrder(size, batch_size, seed).order(epoch)
        batch_size = min(batch_size, size)
        assert len(numbers) % batch_size == 0 and len(numbers) - size < batch_size
        assert sorted(numbers[:size] % size) == list(range(size))
        assert set(numbers[size:]) <= {EpochOrder.PADDING}

    def test_chainers_iterator_sees_whole_epochs_with_a_short_last_batch(
        self, small_data
    ):
        loader = training_loader(small_data)
        iterator = chainer.iterators.SerialIterator(
            loader, 2, order_sampler=EpochOrder(5, 2, 0)
        )
        lengths, last = [], []
        for _ in range(6):
            batch = iterator.next()
            lengths.append(len(stack_examples(batch)[0]))
            last.append(iterator.is_new_epoch)
        assert lengths == [2, 2, 1, 2, 2, 1]
        assert last == [False, False, True] * 2

    def test_order_depends_on_seed_and_epoch_alone(self):
        order = EpochOrder(50, 8, 3)
        np.testing.assert_array_equal(order(order.order(4), 0), order.order(5))
        np.testing.assert_array_equal(order(np.arange(50), 0), order.order(1))
        assert list(order.order(1) % 50) != list(order.order(2) % 50)
        assert list(order.order(1)) != list(EpochOrder(50, 8, 4).order(1))

    def test_batch_of_an_iteration_is_the_one_chainers_iterator_gives(self, small_data):
        loader = training_loader(small_data)
        order = EpochOrder(5, 2, 0)
        numbers = np.concatenate([order.batch(i) for i in range(6)])
        np.testing.assert_array_equal(
            numbers, np.concatenate([order.order(1), order.order(2)])
        )
        assert loader.file_names(order.batch(2)) == [
            loader.names[order.order(1)[4] % 5]
        ]

    @given(
        st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(1, 50)
    )
    def test_a_number_tells_epoch_batch_position_and_image(
        self, size, batch_size, processes, epoch
    ):
        orders = [
            EpochOrder(size, batch_size, 0, rank, processes)
            for rank in range(processes)
        ]
        drawn = []
        for order in orders:
            batches = order.order(epoch).reshape(order.batches, order.share)
            for batch, numbers in enumerate(batches):
                for number in numbers[numbers >= 0]:
                    draw = order.draw(number)
                    assert (draw.epoch, draw.batch) == (epoch, batch)
                    drawn.append(draw)
        assert sorted(draw.position for draw in drawn) == list(range(size))
        assert sorted(draw.index for draw in drawn) == list(range(size))
        # Positions of a batch follow each other: 0 to 4 in batch 0 of five, 5 to 9 in batch 1.
        places = min(batch_size, size)
        assert all(draw.position // places == draw.batch for draw in drawn)

    def test_plain_numbers_are_one_batch_outside_of_any_epoch(self):
        order = EpochOrder(5, 2, 0)
        assert [order.draw(i) for i in (0, 4)] == [Draw(0, 0, 0, 0), Draw(0, 0, 4, 4)]

    def test_batch_larger_than_the_list_is_the_list_without_padding(self):
        large, exact = EpochOrder(5, 10**8, 0), EpochOrder(5, 5, 0)
        assert large.share == 5
        np.testing.assert_array_equal(large.order(3), exact.order(3))
