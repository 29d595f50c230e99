"""Runs the CPU kernels on all cores the process may use, in memory that is used again.

Called by the other ``cpu_`` modules. How it scales: a layer is cut into tasks (an
image, some rows or maps of an image) by its shape alone, and the workers take the next task
when they are free. More cores take the same tasks faster, and since no task's arithmetic
depends on who runs it, the results are the same bytes for any number of workers.
"""

import bisect
import collections
import contextlib
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl


def cores() -> set[int]:
    """Numbers of the cores this process may use."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS and Windows have no affinity call
        return set(range(os.cpu_count() or 1))


def worker_count() -> int:
    """Cores this process may use, at most ``OMP_NUM_THREADS`` if that is set."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    usable = len(cores())
    return min(usable, int(limit)) if limit.isdigit() and int(limit) else usable


class _Workers:
    """A thread pool that starts when it is first needed, with one BLAS thread a worker."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pool: ThreadPoolExecutor | None = None
        self._blas: list | None = None
        self.count = worker_count()

    def run(self, task: Callable, items: Iterable) -> None:
        """Call ``task(item)`` for each item; the first exception is raised here."""
        queue = iter(list(items))  # next() on a list iterator is atomic

        def work() -> None:
            for item in queue:
                task(item)

        # One layer at a time: a second caller would only crowd the same cores.
        with self._lock, self._one_blas_thread():
            helpers = [self._executor().submit(work) for _ in range(self.count - 1)]
            try:
                work()
            finally:
                # Keep BLAS limited and the arrays untouched until every helper is done.
                errors = [helper.exception() for helper in helpers]
        for error in filter(None, errors):
            raise error

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count - 1, "threads")
        return self._pool

    @contextlib.contextmanager
    def _one_blas_thread(self):
        # NumPy lets go of the GIL in a product, so that one image a thread is faster than one
        # product on all threads: it leaves the passes between the products parallel, too.
        if self._blas is None:
            found = threadpoolctl.ThreadpoolController().select(user_api="blas")
            self._blas = found.lib_controllers
        before = [blas.get_num_threads() for blas in self._blas]
        try:
            for blas in self._blas:
                blas.set_num_threads(1)
            yield
        finally:
            for blas, threads in zip(self._blas, before):
                blas.set_num_threads(threads)


_workers = _Workers()


def parallel(task: Callable, items: Iterable) -> None:
    """Call ``task(item)`` for each item, on all workers, in no particular order.

    Args:
        task: Must write only to memory that no other item's call touches.
        items: The cut of the work; it must not depend on the number of workers.
    """
    _workers.run(task, items)


def cut(length: int, count: int) -> list[tuple[int, int]]:
    """Cut ``range(length)`` into ``count`` parts [first, last), fewer if it is shorter."""
    count = max(1, min(count, length))
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def use_at_most(workers: int) -> None:
    """Leave the other cores to other processes; to be called before the first layer runs."""
    _workers.count = min(_workers.count, workers)


class _Memory:
    """Blocks of memory that arrays have given back, to be handed out again.

    A training step asks for the same sizes again and again, and memory that is new to the
    process costs more than a pass over it: filling 108 MB takes 6.0 ms when it is new and
    2.9 ms when it is old.
    """

    _SLACK = 64 << 20  # bytes that may lie idle beyond what was ever in use at once

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._returned: collections.deque[np.ndarray] = collections.deque()
        # (size, -age, block), sorted: the block returned last, still in the cache, is first.
        self._free: list[tuple[int, int, np.ndarray]] = []
        self._returns = 0
        self._in_use = 0
        self._most_in_use = 0

    def take(self, size: int) -> np.ndarray:
        with self._lock:
            self._collect()
            i = bisect.bisect_left(self._free, (size,))
            # A block of up to twice the size serves, so that a short last batch fits.
            if i < len(self._free) and self._free[i][0] <= 2 * size:
                block = self._free.pop(i)[2]
            else:
                self._make_room(size)
                block = _aligned_bytes(size)
            self._in_use += block.size
            self._most_in_use = max(self._most_in_use, self._in_use)
            return block

    def _collect(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            self._in_use -= block.size
            self._returns += 1
            bisect.insort(self._free, (block.size, -self._returns, block))

    def _make_room(self, size: int) -> None:
        allowed = max(self._most_in_use, self._in_use + size) + self._SLACK
        idle = sum(block[0] for block in self._free)
        while self._free and self._in_use + size + idle > allowed:
            idle -= self._free.pop()[0]

    def give_back(self, block: np.ndarray) -> None:
        # No lock: the garbage collector may call this in the middle of take().
        self._returned.append(block)


def _aligned_bytes(size: int) -> np.ndarray:
    # A vector load that straddles two cache lines costs two; malloc aligns to 16 bytes only.
    raw = np.empty(size + 63, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


_memory = _Memory()


class _Owner:
    """What an array from ``empty`` keeps alive; when it dies, its block is free again."""

    def __init__(self, size: int) -> None:
        self._memory = _memory
        self._block = _memory.take(size)
        self.__array_interface__ = self._block.__array_interface__

    def __del__(self) -> None:
        self._memory.give_back(self._block)


def empty(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Like ``numpy.empty``, C-contiguous, from memory that dead arrays have given back."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    # Whole pages, so that nearly equal sizes share their blocks.
    owner = _Owner(max(-(-size // 4096), 1) * 4096)
    return np.ndarray(shape, dtype, np.asarray(owner))


def zeros(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Like ``empty``, filled with zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def _start_anew_after_fork() -> None:
    # A forked child (MultiprocessIterator) inherits the pool but none of its threads, and
    # a lock that one of them may have held.
    global _workers, _memory
    _workers, _memory = _Workers(), _Memory()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_after_fork)
