"""Lets reading, the network and writing go on at the same time; video and application use it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing


def in_three_threads(
    read: Iterator, compute: Callable, write: Callable, waiting: int
) -> Iterator:
    """``write(compute(item))`` for each item, in order; ``compute`` runs in the caller's thread.

    Args:
        read: gives the items, none of them ``None``; runs in a thread of its own.
        compute: takes an item.
        write: takes what compute gives; runs in a thread of its own.
        waiting: items that reading may be ahead, and writing behind. Up to twice as many are in
            memory, and the three that are worked on.

    Raises:
        Exception: the first that one of the three raised, when its item's turn comes.
    """
    # Closed from the last to the first, after an error, too: no thread may use what is released.
    with (
        closing(_ahead(read, waiting)) as ahead,
        closing(_behind(write, map(compute, ahead), waiting)) as behind,
    ):
        yield from behind


def _ahead(items: Iterator, waiting: int) -> Iterator:
    """The same items, made in a thread of its own while the last ones are used."""
    with ThreadPoolExecutor(1, "read") as thread:
        made = deque(thread.submit(next, items, None) for _ in range(waiting))
        while (item := made.popleft().result()) is not None:
            made.append(thread.submit(next, items, None))
            yield item


def _behind(work: Callable, items: Iterable, waiting: int) -> Iterator:
    """``map(work, items)`` in a thread of its own, in order, while further items are made."""
    with ThreadPoolExecutor(1, "write") as thread:
        done = deque()
        for item in items:
            done.append(thread.submit(work, item))
            if len(done) > waiting:
                yield done.popleft().result()
        while done:
            yield done.popleft().result()
