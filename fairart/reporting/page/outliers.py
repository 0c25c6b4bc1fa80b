"""The section of outliers: every score on every set, and the predicted classes of each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fairart.evaluation.results.ood_results import OodResults
from fairart.evaluation.results.ood_table import CONDITIONS, ood_notes
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.outliers import OodCell, OodKey
from fairart.reporting.tables import Spread

__all__ = ["outliers"]

CLASS_PARTS = (("predicted_share", "share"), ("class_auroc", "AUROC"), ("class_fpr", "FPR"))
TARGET_PARTS = (("target_rates", "reached"), ("target_confidences", "confidence"))
"""For images that were driven to a class each, which is then the class of the row."""


def outliers(comparison: Comparison) -> dict[str, Any] | None:
    """Rows of all numbers, and a table of classes for each set under the first score; None without outliers.

    Args:
        comparison: the methods.
    """
    if not comparison.outliers:
        return None
    order = list(comparison.methods)
    rows = [
        _row(key, method, order.index(method), cell)
        for key, cells in comparison.outliers.items()
        for method, cell in cells.items()
    ]
    keys = list(comparison.outliers)
    shown = [key for key in keys if key[1] == keys[0][1] and key[2] == "none"]
    tables = [_classes(comparison, key, order) for key in shown]
    return {"rows": rows, "score": keys[0][1], "tables": tables, "notes": _notes(comparison)}


def _row(key: OodKey, method: str, index: int, cell: OodCell) -> dict[str, Any]:
    name, score, attacked = key
    return {
        "set": name,
        "score": score,
        "attacked": CONDITIONS[attacked],
        "method": method,
        "index": index,
        "seeds": cell.auroc.count,
        "auroc": _heat(cell.auroc, good=True, ends=_ends(cell, "auroc")),
        "worst": _heat(cell.worst, good=True, ends=_ends(cell, "class_auroc", cell.found[0].worst_class)),
        "fpr": _heat(cell.fpr, good=False, ends=_ends(cell, "fpr")),
    }


def _ends(cell: OodCell, number: str, place: int | None = None) -> Any:
    """The 95 % interval of one run; None for several, which have a spread, and for numbers without an interval."""
    ends = getattr(cell.found[0], f"{number}_interval", None)
    if len(cell.found) > 1 or ends is None or (ends.ndim == 2 and place is None):
        return None
    return ends if ends.ndim == 1 else ends[place]


def _heat(spread: Spread, *, good: bool, ends: Any = None) -> dict[str, Any]:
    """A cell that is stronger where the number is worse; an AUROC of one half says nothing and has the full colour."""
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "strength": 0, "interval": ""}
    strength = min(1.0, 2 * (1 - spread.mean)) if good else spread.mean
    return _cell(spread_text(spread), spread.mean, strength, ends)


def _cell(text: str, value: float, strength: float, ends: Any) -> dict[str, Any]:
    interval = "" if ends is None else f"{per_cent(float(ends[0]))} to {per_cent(float(ends[1]))}"
    return {"text": text, "value": round(value, 6), "strength": round(100 * strength), "interval": interval}


def _classes(comparison: Comparison, key: OodKey, order: Sequence[str]) -> dict[str, Any]:
    cells = comparison.outliers[key]
    driven = all(cell.target_rates for cell in cells.values())
    parts = TARGET_PARTS if driven else CLASS_PARTS
    heads = [{"method": method, "index": order.index(method), "part": text} for _, text in parts for method in cells]
    rows = []
    for place, name in enumerate(comparison.classes):
        values = [_class_cell(cell, part, place) for part, _ in parts for cell in cells.values()]
        rows.append({"name": name, "cells": values})
    return {"set": f"{key[0]}, by the class that they are driven to" if driven else key[0], "heads": heads, "rows": rows}


def _class_cell(cell: OodCell, part: str, place: int) -> dict[str, Any]:
    spread: Spread = getattr(cell, part)[place]
    ends = _ends(cell, part, place)
    if part != "predicted_share" or math.isnan(spread.mean):
        return _heat(spread, good=part == "class_auroc", ends=ends)
    # Full colour from four times an equal share.
    return _cell(spread_text(spread), spread.mean, min(1.0, spread.mean * len(cell.predicted_share) / 4), ends)


def _notes(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """For each run that has outliers, the lines below its own table."""
    runs = [run for group in comparison.methods.values() for run in group]
    results: list[tuple[str, OodResults]] = [(run.name, run.result.ood) for run in runs if run.result is not None]
    return [(name, ood_notes(ood)) for name, ood in results if len(ood)]
