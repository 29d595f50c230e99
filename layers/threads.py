"""Runs a layer's loop over images, rows or maps on all cores; called by the other modules here.

A layer is cut into tasks by its shape alone, and each worker takes the next task when it is
free. No task's arithmetic depends on who runs it, so the results are the same bytes for any
number of workers.
"""

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

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
    """A thread pool that starts when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._blas: list | None = None
        self._thread = threading.local()  # .in_task: whether this thread runs a task
        self.count = worker_count()

    def run(self, task: Callable, items: Iterable) -> None:
        if getattr(self._thread, "in_task", False):
            # The workers it would wait for are all waiting for it.
            raise RuntimeError("a task of parallel() must not call parallel() itself")
        items = list(items)
        queue = iter(items)  # next() on a list iterator is atomic

        def work() -> None:
            self._thread.in_task = True
            try:
                for item in queue:
                    task(item)
            finally:
                self._thread.in_task = False

        # One layer at a time: a second caller would compete for the same cores.
        with self._lock, self._one_blas_thread():
            helpers = min(self.count, len(items)) - 1
            others = [self._executor().submit(work) for _ in range(helpers)]
            try:
                work()
            finally:
                # Helpers that have not begun are cancelled. The others are waited for: they still
                # use the arrays, and BLAS has to stay at one thread.
                errors = [other.exception() for other in others if not other.cancel()]
        for error in filter(None, errors):
            raise error

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count - 1, "threads")
        return self._pool

    @contextlib.contextmanager
    def _one_blas_thread(self):
        # One matrix product a worker is faster than one on all BLAS threads at a time: the
        # passes between the products run on all cores, too (NumPy releases the GIL in both).
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
        task: Writes only to memory that no other item's call touches.
        items: The parts of the work; they must not depend on the number of workers.

    Raises:
        RuntimeError: called from within a task.
        Exception: the first that a task raised, after all workers have stopped.
    """
    _workers.run(task, items)


def cut(length: int, count: int) -> list[tuple[int, int]]:
    """Cut ``range(length)`` into ``count`` parts [first, last), fewer if it is shorter."""
    count = max(1, min(count, length))
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def use_at_most(workers: int) -> None:
    """Leave the other cores to other processes; call it before the first layer runs."""
    _workers.count = min(_workers.count, workers)


def _start_anew_after_fork() -> None:
    # A forked child (MultiprocessIterator) inherits the pool without its threads, and
    # perhaps a lock that one of them holds.
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_after_fork)
