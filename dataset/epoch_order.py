"""Decides which image is drawn when; train.py gives it to Chainer's iterators."""

from typing import NamedTuple

import chainer_compat

import chainer
import numpy as np


class Draw(NamedTuple):
    """One image of an epoch.

    Attributes:
        epoch (int): counted from 1; 0 for an image that is asked for outside of any epoch.
        batch (int): number of its batch in the epoch, counted from 0.
        position (int): its place in the order of the epoch, counted from 0.
        index (int): its place in the list.
    """

    epoch: int
    batch: int
    position: int
    index: int


class EpochOrder:
    """Order sampler for Chainer's iterators: every image once an epoch, the last batch short.

    Chainer's iterators fill the last batch of an epoch up with images of the next. Here the
    order is padded to whole batches instead; the dataset answers PADDING with None, which
    stack_examples() drops.

    A number in the order is (epoch * slots + position) * size + index, where slots is size
    rounded up to whole batches. So it tells the dataset which random numbers the augmentation
    takes: there is no state that a snapshot would have to hold. draw() unpacks it.

    Several processes each draw a share of every batch, and all make as many iterations.

    Args:
        size (int): images in the list.
        batch_size (int): images in a batch, of all processes together.
        seed (int): the order of an epoch depends on (seed, epoch) alone.
        rank (int): number of this process.
        processes (int): number of all processes.

    Attributes:
        share (int): images in this process's share of a batch, PADDING included.
        batches (int): batches in an epoch.
    """

    PADDING = -1

    def __init__(
        self, size: int, batch_size: int, seed: int, rank: int = 0, processes: int = 1
    ):
        self.size = size
        # A batch beyond the list would be padding, for which memory is taken, too.
        self.batch_size = min(batch_size, size)
        self.seed = seed
        self.share = -(-self.batch_size // processes)
        self.batches = -(-size // self.batch_size)
        self.slots = self.batches * self.batch_size
        self._rank = rank
        self._processes = processes

    def __call__(self, current_order: np.ndarray, current_position: int) -> np.ndarray:
        """The order of the epoch after current_order's; Chainer's first call gives it 0, 1, 2..."""
        return self.order(self.draw(max(current_order.max(), 0)).epoch + 1)

    def draw(self, number: int) -> Draw:
        """What a number of the order means.

        Plain numbers, 0 to size - 1, are all in batch 0 of epoch 0, each at its place in the
        list: load_data() may be given any of them together.
        """
        place, index = divmod(int(number), self.size)
        if place == 0:
            return Draw(0, 0, index, index)
        epoch, position = divmod(place, self.slots)
        return Draw(epoch, position // self.batch_size, position, index)

    def order(self, epoch: int) -> np.ndarray:
        """int64 (batches * share,): the numbers of an epoch, counted from 1, for this process."""
        images = random_generator(self.seed, epoch).permutation(self.size)
        places = epoch * self.slots + np.arange(self.size, dtype=np.int64)
        order = np.full(self.slots, self.PADDING, np.int64)
        order[: self.size] = places * self.size + images
        # (batches, batch_size) -> (batches, share * processes). Of each batch, process r of n
        # takes the images r, r + n, r + 2n, ...
        missing = self.share * self._processes - self.batch_size
        batches = np.pad(
            order.reshape(self.batches, self.batch_size),
            ((0, 0), (0, missing)),
            constant_values=self.PADDING,
        )
        return batches[:, self._rank :: self._processes].ravel()

    def batch(self, iteration: int) -> np.ndarray:
        """int64 (share,): the numbers of a batch; iterations are counted from 0."""
        epoch, batch = divmod(iteration, self.batches)
        return self.order(epoch + 1)[batch * self.share :][: self.share]

    def place(self, iterator: chainer.dataset.Iterator, iteration: int) -> None:
        """Bring an iterator to where it stands after so many iterations.

        Snapshots store the iteration alone, as an iterator's own state would depend on the
        number of processes.
        """
        epoch, batch = divmod(iteration, self.batches)
        epoch_before, batch_before = divmod(iteration - 1, self.batches)
        state = {
            "current_position": batch * self.share,
            "epoch": epoch,
            "is_new_epoch": iteration > 0 and batch == 0,
            "previous_epoch_detail": epoch_before + batch_before / self.batches,
        }
        if iteration == 0:
            state["previous_epoch_detail"] = -1.0  # Chainer's None
        order = self.order(epoch + 1)

        def deserializer(key: str, value):
            if key in state:
                return state[key]
            # SerialIterator's "order", MultithreadIterator's "_order"
            value[...] = order
            return value

        iterator.serialize(deserializer)


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """Random numbers that depend on a seed and a key, such as (epoch,) or (epoch, position)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
