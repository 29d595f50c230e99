"""Keeps decoded images and labels in memory, up to a number of bytes; the loader's cache."""

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


class PairCache:
    """Pairs of image and label by index. Once it is full, further pairs are not kept.

    Args:
        max_bytes: of all pairs together.
    """

    def __init__(self, max_bytes: int):
        self._free = max_bytes
        self._pairs: dict[int, Pair] = {}

    def get(self, index: int) -> Pair | None:
        return self._pairs.get(index)

    def put(self, index: int, pair: Pair) -> None:
        size = sum(array.nbytes for array in pair)
        # setdefault: two threads may bring the same pair, which must be counted once.
        if size <= self._free and self._pairs.setdefault(index, pair) is pair:
            self._free -= size
