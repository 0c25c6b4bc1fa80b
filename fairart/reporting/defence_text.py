"""Input defences of several methods as a table of text."""

from __future__ import annotations

from fairart.evaluation.results.flags import FAILED
from fairart.reporting.by_defence import KINDS, ByDefence, DefenceCell
from fairart.reporting.comparison_data import ComparisonData
from fairart.reporting.grid import Grid, spread_text

__all__ = ["defence_grid"]


def defence_grid(comparison: ComparisonData) -> Grid:
    """Accuracy of every method behind every defence: clean, and under every attack naively and by BPDA.

    Args:
        comparison: the methods.
    """
    blocks = [
        tuple(_row(found, label, found.cells[label]) for label in comparison.methods if label in found.cells)
        for found in comparison.by_defence
    ]
    below = [
        "undefended: without the defence; naive: examples made without it, then defended; BPDA: made through it",
        "both: right under the naive attack and under BPDA",
        *dict.fromkeys(
            f"{found.name}: BPDA has '{found.stand_in}' in its place in the gradient" for found in comparison.by_defence
        ),
    ]
    if any(cell.doubtful for found in comparison.by_defence for cell in found.cells.values()):
        below.append(f"{FAILED}: robust only while the attack does not know of the defence (obfuscated gradients)")
    columns = ("defence, attack", "method", "clean", "undefended", "naive", "BPDA", "both", "worst class: naive", "BPDA")
    return Grid("input defences", columns, tuple(filter(None, blocks)), 2, tuple(below))


def _row(found: ByDefence, label: str, cell: DefenceCell) -> tuple[str, ...]:
    mark = f" {FAILED}" if cell.doubtful else ""
    shown = [spread_text(cell.overall(kind)) + (mark if kind == "naive" else "") for kind in KINDS]
    worst = [spread_text(cell.worst("naive")) + mark, spread_text(cell.worst("bpda"))]
    return (f"{found.name}, {found.attack}", label, *shown, *worst)
