"""The one progress bar of all programs: a line on the terminal that is redrawn, nothing elsewhere."""

import os
import shutil
import sys
from collections.abc import Iterable

from tqdm import tqdm

# Without tqdm's speed and elapsed time: all of it fits into 40 columns.
_FORMAT = "{desc} {percentage:3.0f} % {bar} {remaining} left"


def progress_bar(
    items: Iterable | None, total: int | None, unit: str, desc: str = "", done: int = 0
) -> tqdm:
    """A bar on standard error, as wide as the terminal; it is wiped when the loop is done.

    Nothing is drawn where standard error is no terminal, or one that cannot redraw a line
    (``TERM=dumb``). The bar has no colours, so that ``NO_COLOR`` asks for nothing more.

    Args:
        items: what to loop over; None where the caller moves the bar by its ``update()``.
        total: their number, None if it is not known.
        unit: what one of them is called, for instance "image".
        desc: what stands before the bar; the unit, if nothing is given.
        done: how many of them were done before.
    """
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return tqdm(
        items,
        desc or f"{unit}s",
        total,
        unit=unit,
        initial=done,
        leave=False,
        disable=not can_redraw,
        dynamic_ncols=True,
        bar_format=_FORMAT if total else None,
    )


def print_above(text: str, file=None) -> None:
    """Print while a bar may be on the screen: above it, on standard output if no file is given."""
    file = file or sys.stdout
    tqdm.write(text, file=file)
    file.flush()


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None where it is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
