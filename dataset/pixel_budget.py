"""Bounds the pixels that all threads work on together; pair_reader.py takes them, its callers hold them.

Many small pictures may be in work at a time, but few large ones, so that memory does not grow with
loader_jobs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Decoding, scaling and normalising take 20 to 30 bytes a pixel: 0.5 GB. A picture that is larger
# than the whole budget is worked on alone.
MOST_PIXELS = 1 << 24

_state = threading.Condition()
_in_work = 0  # pixels
_thread = threading.local()


@contextmanager
def in_work() -> Iterator[None]:
    """Until the block ends, what take_pixels() takes within it stays taken.

    A block within a block does nothing: the pixels stay taken until the outer one ends.
    """
    if hasattr(_thread, "pixels"):
        yield
        return
    _thread.pixels = 0
    try:
        yield
    finally:
        _add(-_thread.pixels)
        del _thread.pixels


def take_pixels(pixels: int) -> None:
    """Wait until a picture of so many pixels may be worked on beside those of other threads.

    To be called within in_work(). A second picture there does not wait: two threads could wait
    for each other.
    """
    if _thread.pixels:
        return
    with _state:
        _state.wait_for(lambda: not _in_work or _in_work + pixels <= MOST_PIXELS)
        _add(pixels)
    _thread.pixels = pixels


def _add(pixels: int) -> None:
    global _in_work
    with _state:  # re-entrant
        _in_work += pixels
        _state.notify_all()
