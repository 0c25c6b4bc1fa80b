"""The section of input defences: what is robust to an attack that does not know of the defence, and to one that does."""

from __future__ import annotations

import math
from typing import Any

from fairart.reporting.by_defence import KINDS, ByDefence, DefenceCell
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.page.views import points
from fairart.reporting.tables import Spread

__all__ = ["defences"]


def defences(comparison: Comparison) -> list[dict[str, Any]]:
    """A table of classes for each defence, attack and method; empty without any.

    Args:
        comparison: the methods.
    """
    return [_group(comparison, found) for found in comparison.by_defence]


def _group(comparison: Comparison, found: ByDefence) -> dict[str, Any]:
    return {
        "defence": found.name,
        "attack": found.attack,
        "stand_in": found.stand_in,
        "methods": [
            {
                "method": label,
                "index": at,
                "doubtful": found.cells[label].doubtful,
                "rows": _rows(found.cells[label], comparison),
                "overall": _overall(found.cells[label]),
                "interval": _interval(found.cells[label]),
            }
            for at, label in enumerate(comparison.methods)
            if label in found.cells
        ],
    }


def _rows(cell: DefenceCell, comparison: Comparison) -> list[dict[str, Any]]:
    columns, ends = [cell.classes(kind) for kind in KINDS], [_ends(cell, kind) for kind in KINDS]
    of_illusion = cell.attacks[0].class_illusion_intervals if len(cell.attacks) == 1 else None
    return [
        {
            "name": name,
            "cells": [
                _cell(column[place], None if pairs is None else pairs[place]) for column, pairs in zip(columns, ends, strict=True)
            ],
            "illusion": _difference(cell.illusion_of_classes[place], None if of_illusion is None else of_illusion[place]),
        }
        for place, name in enumerate(comparison.classes)
    ]


def _overall(cell: DefenceCell) -> dict[str, Any]:
    one = len(cell.attacks) == 1
    return {
        "name": "overall",
        "cells": [_cell(cell.overall(kind), cell.results(kind)[0].accuracy_interval if one else None) for kind in KINDS],
        "illusion": _difference(cell.illusion, cell.attacks[0].illusion.interval if one else None),
    }


def _ends(cell: DefenceCell, kind: str) -> Any:
    """(K, 2) intervals of the classes of a single run; None for several, whose spread stands in their place."""
    return cell.results(kind)[0].confidence_interval if len(cell.attacks) == 1 else None


def _cell(spread: Spread, ends: Any) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "strength": 0, "interval": ""}
    return {
        "text": spread_text(spread),
        "value": round(spread.mean, 6),
        "strength": round(100 * (1 - spread.mean)),
        "interval": "" if ends is None else f"{per_cent(float(ends[0]))} to {per_cent(float(ends[1]))}",
    }


def _difference(spread: Spread, ends: Any) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "interval": ""}
    interval = "" if ends is None else f"{points(float(ends[0]))} to {points(float(ends[1]))}"
    return {"text": points(spread.mean), "value": round(spread.mean, 6), "interval": interval}


def _interval(cell: DefenceCell) -> str:
    """The interval of the difference of one run; over seeds the spread stands in its place."""
    if len(cell.attacks) > 1:
        return f"{spread_text(cell.illusion)} points over {len(cell.attacks)} seeds"
    low, high = cell.attacks[0].illusion.interval
    return f"{points(cell.illusion.mean)} points (95 % from {per_cent(low)} to {per_cent(high)})"
