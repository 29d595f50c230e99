"""Shows the progress of a loop; the programs and evaluation wrap their loops in it."""

from collections.abc import Iterable

from tqdm import tqdm


def progress_bar(items: Iterable, total: int, unit: str, desc: str | None = None):
    """tqdm on a terminal, nothing elsewhere; the bar is wiped when the loop is done.

    Args:
        items: what to loop over.
        total: their number.
        unit: what one of them is called, for instance "image".
        desc: what stands before the bar.
    """
    return tqdm(items, desc, total, unit=unit, leave=False, disable=None)
