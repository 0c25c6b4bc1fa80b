"""Tables of an evaluation as cells and lines of plain text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fairart.escapes import terminal

__all__ = ["Grid", "per_cent", "share_cell"]


@dataclass(frozen=True)
class Grid:
    """The cells of a table.

    Args:
        columns: heads; the first is that of the row names.
        rows: cells; the first is the name of the row.
        body: rows before the summary.
    """

    columns: list[str]
    rows: list[list[str]]
    body: int

    def text(self, *, right: int | None = None) -> list[str]:
        """Lines of plain text, with a rule below the heads and below the body.

        Args:
            right: the column that is aligned to the right.
        """
        table = [list(map(terminal, row)) for row in (self.columns, *self.rows)]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = []
        for number, row in enumerate(table):
            cells = [
                cell.rjust(width) if place == right else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
            if number in (0, self.body):
                lines.append(rule)
        return lines


def per_cent(share: float) -> str:
    """A share in per cent; ``-`` for NaN."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def share_cell(share: float, ends: Any, intervals: bool) -> str:
    """A share with the two ends of its interval, in per cent.

    Args:
        share: in [0, 1], or NaN.
        ends: (2,) of the interval.
        intervals: whether they are written.
    """
    if not intervals or math.isnan(share):
        return per_cent(share)
    return f"{per_cent(share)} [{per_cent(float(ends[0]))}, {per_cent(float(ends[1]))}]"
