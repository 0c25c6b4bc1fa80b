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
                "overall": _row("overall", [found.cells[label].overall(kind) for kind in KINDS], found.cells[label].illusion),
                "interval": _interval(found.cells[label]),
            }
            for at, label in enumerate(comparison.methods)
            if label in found.cells
        ],
    }


def _rows(cell: DefenceCell, comparison: Comparison) -> list[dict[str, Any]]:
    columns = [cell.classes(kind) for kind in KINDS]
    return [
        _row(name, [column[place] for column in columns], cell.illusion_of_classes[place])
        for place, name in enumerate(comparison.classes)
    ]


def _row(name: str, spreads: list[Spread], illusion: Spread) -> dict[str, Any]:
    value = None if math.isnan(illusion.mean) else round(illusion.mean, 6)
    return {
        "name": name,
        "cells": [_cell(spread) for spread in spreads],
        "illusion": {"text": points(illusion.mean), "value": value},
    }


def _cell(spread: Spread) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "strength": 0}
    return {"text": spread_text(spread), "value": round(spread.mean, 6), "strength": round(100 * (1 - spread.mean))}


def _interval(cell: DefenceCell) -> str:
    """The interval of the difference of one run; over seeds the spread stands in its place."""
    if len(cell.attacks) > 1:
        return f"{spread_text(cell.illusion)} points over {len(cell.attacks)} seeds"
    low, high = cell.attacks[0].illusion.interval
    return f"{points(cell.illusion.mean)} points (95 % from {per_cent(low)} to {per_cent(high)})"
