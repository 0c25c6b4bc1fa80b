"""The section of shifted test sets: classes side by side, what is lost, and clean against shifted accuracy."""

from __future__ import annotations

import math
from typing import Any

from fairart.evaluation.results.outcome import AttackResult
from fairart.reporting.by_shift import ByShift, ShiftCell
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.page.svg import Point, scatter
from fairart.reporting.page.views import points
from fairart.reporting.tables import Spread

__all__ = ["shifts"]


def shifts(comparison: Comparison) -> list[dict[str, Any]]:
    """For each shifted test set a table of classes, a summary and a diagram; empty without any.

    Args:
        comparison: the methods.
    """
    return [_shift(comparison, found) for found in comparison.by_shift]


def _shift(comparison: Comparison, found: ByShift) -> dict[str, Any]:
    present = [(at, label, found.cells[label]) for at, label in enumerate(comparison.methods) if label in found.cells]
    rows = [
        {
            "name": name,
            "count": count,
            "entries": [_entry(cell, k) for _, _, cell in present],
        }
        for k, (name, count) in enumerate(zip(comparison.classes, found.support, strict=True))
    ]
    return {
        "name": found.name,
        "left_out": found.left_out,
        "number": sum(found.support),
        "line": "" if found.line is None else _line_text(found),
        "heads": [{"index": at, "method": label} for at, label, _ in present],
        "rows": rows,
        "summary": _summary([cell for _, _, cell in present]),
        "diagram": _diagram(comparison, found),
    }


def _entry(cell: ShiftCell, place: int) -> dict[str, Any]:
    mean, lost = cell.classes[place].mean, cell.lost_of_classes[place].mean
    return {"text": per_cent(mean), "value": _value(mean), "lost": points(-lost), "ece": _class_ece(cell, place)}


def _value(number: float) -> float | None:
    return None if math.isnan(number) else round(number, 6)


def _line_text(found: ByShift) -> str:
    assert found.line is not None
    line = found.line
    return (
        f"Line over {line.points} methods, probit scale: slope {line.slope:.2f}, correlation {line.correlation:.2f}. A method "
        "above it loses less than its clean accuracy says."
    )


def _class_ece(cell: ShiftCell, place: int) -> str:
    found = [drop.shifted.class_calibration() for drop in cell.drops]
    return spread_text(Spread.of([several[place].ece for several in found if several is not None]))


def _ece(results: list[AttackResult]) -> Spread:
    found = [result.calibration() for result in results]
    return Spread.of([one.ece for one in found if one is not None])


def _summary(cells: list[ShiftCell]) -> list[tuple[str, list[str]]]:
    """Rows below the classes: name, and a text for each method."""
    return [
        ("overall", [spread_text(cell.overall) for cell in cells]),
        ("worst class", [spread_text(cell.worst) for cell in cells]),
        ("lost, points", [f"{spread_text(cell.lost)}{_ends(cell)}" for cell in cells]),
        ("lost, % of clean", [spread_text(cell.relative) for cell in cells]),
        ("ECE clean", [spread_text(_ece([drop.clean for drop in cell.drops])) for cell in cells]),
        ("ECE shifted", [spread_text(_ece([drop.shifted for drop in cell.drops])) for cell in cells]),
    ]


def _ends(cell: ShiftCell) -> str:
    if len(cell.drops) > 1:
        return ""
    low, high = cell.drops[0].interval
    return f" ({per_cent(float(low))} to {per_cent(float(high))})"


def _diagram(comparison: Comparison, found: ByShift) -> Any:
    """Clean against shifted accuracy: a small dot for each class, a large one for all samples."""
    dots = []
    for at, label in enumerate(comparison.methods):
        cell = found.cells.get(label)
        if cell is None:
            continue
        for k, name in enumerate(comparison.classes):
            shifted, lost = cell.classes[k].mean, cell.lost_of_classes[k].mean
            if not math.isnan(lost):
                dots.append(Point(shifted + lost, shifted, at, f"{label}, {name}"))
        clean = cell.overall.mean + cell.lost.mean
        dots.append(Point(clean, cell.overall.mean, at, f"{label}, all classes", large=True))
    return scatter(dots, label=f"clean against {found.name} accuracy", across="clean accuracy in %", up=f"{found.name}, %")
