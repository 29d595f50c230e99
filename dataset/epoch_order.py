"""Decides which image is drawn when; train.py gives it to Chainer's iterators."""

import chainer_compat

import chainer
import numpy as np


class EpochOrder:
    """Order sampler for Chainer's iterators: every image once an epoch, the last batch short.

    Chainer's iterators fill the last batch of an epoch up with images of the next. Here the
    order is padded to whole batches instead; the dataset answers PADDING with None, which
    stack_examples() drops. The number of an image also says in which epoch and at which
    position it is drawn, so that its augmentation needs no state that could be lost.

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
        self.batch_size = batch_size
        self.seed = seed
        self.share = -(-batch_size // processes)
        self.slots = padded_size(size, batch_size)
        self.batches = self.slots // batch_size
        self._rank = rank
        self._processes = processes

    def __call__(self, current_order: np.ndarray, current_position: int) -> np.ndarray:
        """The order of the epoch after the one in current_order (Chainer asks with 0, 1, 2...)."""
        epoch = max(int(current_order.max()), 0) // self.size // self.slots
        return self.order(epoch + 1)

    def order(self, epoch: int) -> np.ndarray:
        """int64 (batches * share,): the numbers of an epoch, counted from 1, for this process."""
        images = random_generator(self.seed, epoch).permutation(self.size)
        draws = epoch * self.slots + np.arange(self.size, dtype=np.int64)
        order = np.full(self.slots, self.PADDING, np.int64)
        order[: self.size] = draws * self.size + images
        # Of each batch, process r takes the images r, r + n, ...
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

        So that a snapshot holds nothing that depends on the number of processes.
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


def padded_size(size: int, batch_size: int) -> int:
    """The smallest multiple of batch_size that is not below size."""
    return -(-size // batch_size) * batch_size


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of a thing, such as (epoch,) or (epoch, position), under a seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
