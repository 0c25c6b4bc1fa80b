"""What the page shows about corruptions: a grid of corruption and severity for each method."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairart.evaluation import AttackResult
from fairart.reporting.comparison import Comparison, is_corruption
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.tables import Spread

__all__ = ["corruptions"]


def corruptions(comparison: Comparison) -> dict[str, Any] | None:
    """Accuracy and worst class of every corruption and severity, mean over seeds; None where there is none.

    Args:
        comparison: the methods.
    """
    names: dict[str, None] = {}
    levels: set[int] = set()
    found: dict[str, list[dict[tuple[str, int], AttackResult]]] = {}
    for label, runs in comparison.methods.items():
        for run in runs:
            assert run.result is not None
            table = {
                (str(result.config["corruption"]), int(result.config["severity"])): result
                for result in run.result.values()
                if is_corruption(result)
            }
            names.update(dict.fromkeys(name for name, _ in table))
            levels.update(level for _, level in table)
            if table:
                found.setdefault(label, []).append(table)
    if not found:
        return None
    severities = sorted(levels)
    methods = [
        {
            "method": label,
            "index": list(comparison.methods).index(label),
            "seeds": len(tables),
            "overall": _grid(tables, list(names), severities, "accuracy"),
            "worst": _grid(tables, list(names), severities, "worst"),
        }
        for label, tables in found.items()
    ]
    return {"severities": severities, "methods": methods}


def _number(result: AttackResult, part: str) -> float:
    return result.accuracy if part == "accuracy" else result.worst_class_accuracy()


def _grid(
    tables: list[dict[tuple[str, int], AttackResult]], names: list[str], severities: list[int], part: str
) -> dict[str, Any]:
    rows = []
    for name in names:
        cells = []
        for level in severities:
            values = [_number(table[name, level], part) for table in tables if (name, level) in table]
            cells.append(_cell(Spread.of(values).mean))
        rows.append({"name": name, "cells": cells, "mean": _cell(_mean([cell["value"] for cell in cells]))})
    # One mean a seed, over what that seed has, so that the spread is over seeds and not over corruptions.
    means = [float(np.mean([_number(result, part) for result in table.values()])) for table in tables]
    return {"rows": rows, "mean": spread_text(Spread.of(means))}


def _mean(values: list[float | None]) -> float:
    return Spread.of([value for value in values if value is not None]).mean


def _cell(value: float) -> dict[str, Any]:
    if np.isnan(value):
        return {"text": "-", "value": None, "strength": 0}
    return {"text": per_cent(value), "value": round(value, 6), "strength": round(100 * (1 - value))}
