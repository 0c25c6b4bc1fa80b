"""The section of groups: accuracy by group, and by class within each group, methods side by side."""

from __future__ import annotations

import math
from typing import Any

from fairart.evaluation.results.groups import SMALL, GroupedResult
from fairart.reporting.by_group import ByGroup, GroupCell
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.page.views import Flags
from fairart.reporting.tables import Spread

__all__ = ["groups"]


def groups(comparison: Comparison, flags: Flags) -> list[dict[str, Any]]:
    """For each attribute and attack a table of groups and a grid of classes within groups; empty without any.

    Args:
        comparison: the methods.
        flags: messages of failed sanity checks.
    """
    return [
        {
            "name": found.groups.name,
            "left_out": found.left_out,
            "small": SMALL,
            "attacks": [
                _attack(comparison, found, attack, flags)
                for attack in comparison.attacks
                if any(shown == attack for _, shown in found.cells)
            ],
        }
        for found in comparison.by_group
    ]


def _attack(comparison: Comparison, found: ByGroup, attack: str, flags: Flags) -> dict[str, Any]:
    present = [
        (index, label, found.cells[label, attack])
        for index, label in enumerate(comparison.methods)
        if (label, attack) in found.cells
    ]
    rows = [
        {
            "name": name,
            "count": int(count),
            "small": count < SMALL,
            "entries": [_entry(cell, place) for _, _, cell in present],
        }
        for place, (name, count) in enumerate(zip(found.groups.names, found.groups.counts, strict=True))
    ]
    return {
        "attack": attack,
        "heads": [{"index": at, "method": label, "flags": flags.get((label, attack), ())} for at, label, _ in present],
        "rows": rows,
        "summary": _summary(found, [cell for _, _, cell in present]),
        "grids": [{"index": at, "method": label, "rows": _grid(comparison, cell)} for at, label, cell in present],
        "names": found.groups.names,
    }


def _entry(cell: GroupCell, place: int) -> dict[str, Any]:
    spread = cell.groups[place]
    low, high = map(float, cell.results[0].confidence_interval[place])
    absent = math.isnan(spread.mean)
    several = len(cell.results) > 1
    return {
        "value": None if absent else round(spread.mean, 6),
        "text": per_cent(spread.mean),
        "interval": "" if absent else f"± {100 * spread.std:.1f}" if several else f"{per_cent(low)} to {per_cent(high)}",
        "worst": cell.worst_group == place,
    }


def _summary(found: ByGroup, cells: list[GroupCell]) -> list[tuple[str, list[str]]]:
    """Rows below the groups: name, and a text for each method."""
    names = found.groups.names
    return [
        ("worst group", [f"{spread_text(cell.worst)} {names[cell.worst_group]}{_ends(cell)}" for cell in cells]),
        ("worst class in a group", [f"{spread_text(cell.worst_cell)}{_worst_cell(cell)}" for cell in cells]),
        ("difference", [spread_text(cell.difference) for cell in cells]),
        ("difference to overall", [_of_gaps(cell, "difference_to_overall", 100, 1) for cell in cells]),
        ("ratio", [_of_gaps(cell, "ratio", 1, 3) for cell in cells]),
        ("largest equalized odds difference of a class", [_equalized(cell) for cell in cells]),
        ("largest ECE of a group", [_ece(cell) for cell in cells]),
    ]


def _ends(cell: GroupCell) -> str:
    low, high = cell.results[0].worst_group_interval
    return f" ({per_cent(float(low))} to {per_cent(float(high))})" if len(cell.results) == 1 else ""


def _worst_cell(cell: GroupCell) -> str:
    if len(cell.results) > 1:
        return ""
    low, high = cell.results[0].worst_cell_interval
    return f" {' / '.join(cell.results[0].worst_cell_name)} ({per_cent(float(low))} to {per_cent(float(high))})"


def _of_gaps(cell: GroupCell, name: str, scale: int, digits: int) -> str:
    spread = Spread.of([getattr(result.gaps, name) for result in cell.results])
    return "-" if math.isnan(spread.mean) else f"{scale * spread.mean:.{digits}f}"


def _equalized(cell: GroupCell) -> str:
    largest = [
        max((v for v in result.gaps.equalized_odds_difference if not math.isnan(v)), default=math.nan) for result in cell.results
    ]
    return spread_text(Spread.of(largest))


def _ece(cell: GroupCell) -> str:
    found = [result.calibration() for result in cell.results]
    return spread_text(Spread.of([max(one.ece for one in several if one.total) for several in found if several is not None]))


def _grid(comparison: Comparison, cell: GroupCell) -> list[dict[str, Any]]:
    """A row for each class: mean accuracy over seeds in each group, with its samples."""
    first: GroupedResult = cell.results[0]
    rows = []
    for label, name in enumerate(comparison.classes):
        cells = []
        for group in range(len(first.groups)):
            mean = Spread.of([result.class_accuracy[group, label] for result in cell.results]).mean
            count = int(first.class_support[group, label])
            absent = math.isnan(mean)
            cells.append(
                {
                    "text": per_cent(mean),
                    "value": None if absent else round(mean, 6),
                    "strength": 0 if absent else round(100 * (1 - mean)),
                    "count": count,
                    "small": 0 < count < SMALL,
                }
            )
        rows.append({"name": name, "cells": cells})
    return rows
