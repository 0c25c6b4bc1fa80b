"""A table of text, and how its numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairart.reporting.tables import Spread

__all__ = ["Grid", "p_text", "per_cent", "points", "spread_text"]


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Args:
        title: the line above the table; empty for none.
        columns: heads.
        groups: blocks of rows, with a rule between blocks.
        text_columns: how many of the first columns hold names; numbers follow.
        below: lines under the table.
    """

    title: str
    columns: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    text_columns: int
    below: tuple[str, ...] = ()


def per_cent(share: float) -> str:
    """A share in per cent; ``-`` for NaN."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    # Rounded first: a difference of -0.01 points reads +0.0, not -0.0.
    return "-" if math.isnan(difference) else f"{round(100 * difference, 1) + 0.0:+.1f}"


def spread_text(spread: Spread) -> str:
    """Mean, and the sample standard deviation if there are several seeds, in per cent."""
    mean = per_cent(spread.mean)
    return mean if math.isnan(spread.std) else f"{mean} ± {100 * spread.std:.1f}"


def p_text(value: float) -> str:
    """A p-value with two digits; ``<0.001`` for smaller ones."""
    if math.isnan(value):
        return "-"
    if value < 0.001:
        return "<0.001"
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}" if value < 0.01 else f"{value:.2g}"
