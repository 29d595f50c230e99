"""Formats tables, percentages and numbers of things for a terminal."""

import math
import unicodedata
from collections.abc import Sequence

from files.errors import printable


def percent(figure: float | None, digits: int = 1) -> str:
    """A share as text; a dash where it is not defined (None, NaN)."""
    return (
        "-" if figure is None or math.isnan(figure) else f"{100 * figure:.{digits}f} %"
    )


def plus_minus(mean: float | None, deviation: float | None) -> str:
    """A mean share and its deviation as text, ``45.7 ± 1.2 %``; without a deviation, the mean alone."""
    if mean is None or deviation is None:
        return percent(mean)
    return f"{100 * mean:.1f} ± {percent(deviation)}"


def counted(number: int, what: str) -> str:
    """1 photo without a label, 2 photos without a label."""
    noun, *rest = what.split(" ", 1)
    return " ".join([f"{number:,}", noun + "s" * (number != 1), *rest])


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines: the first column to the left, the others to the right.

    Control characters in a cell, which may be text of a file, are spelt out.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first + " " * (widths[0] - _columns(first))]
        for cell, width in zip(others, widths[1:], strict=True):
            cells.append(" " * (width - _columns(cell)) + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table in Markdown; the first one is its heading."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(rows[0]) + "|", *lines[1:]])


def _columns(text: str) -> int:
    """Width of a text on a terminal, where a Chinese or Japanese character takes two columns."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
