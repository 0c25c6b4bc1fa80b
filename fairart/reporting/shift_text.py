"""Shifted test sets of several methods as a table of text."""

from __future__ import annotations

from fairart.reporting.by_shift import ByShift
from fairart.reporting.comparison_data import ComparisonData
from fairart.reporting.grid import Grid, spread_text

__all__ = ["shift_grid"]


def shift_grid(comparison: ComparisonData) -> Grid:
    """Accuracy of every method on every shifted test set, and what is lost.

    Args:
        comparison: the methods.
    """
    blocks, below = [], []
    for found in comparison.by_shift:
        rows = []
        for label in comparison.methods:
            cell = found.cells.get(label)
            if cell is not None:
                numbers = (cell.overall, cell.worst, cell.lost, cell.relative)
                rows.append((found.name, label, *map(spread_text, numbers)))
        blocks.append(tuple(rows))
        below += _shift_lines(found)
    columns = ("shift", "method", "overall", "worst class", "lost", "lost, % of clean")
    return Grid("shifted test sets", columns, tuple(filter(None, blocks)), 2, tuple(below))


def _shift_lines(found: ByShift) -> list[str]:
    lines = []
    if found.line is not None:
        line = found.line
        shown = f"slope {line.slope:.2f}, correlation {line.correlation:.2f}"
        lines.append(f"{found.name}: line from clean to shifted accuracy over {line.points} methods, probit scale: {shown}")
    if found.left_out:
        lines.append(f"evaluated without {found.name}, or on other images: {', '.join(found.left_out)}")
    return lines
