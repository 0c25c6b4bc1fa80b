"""The section of corruptions: a grid of corruption and severity for each method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.reporting.comparison import Comparison, CorruptionMeans
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["corruptions"]

PARTS = ("overall", "worst class")


def corruptions(comparison: Comparison) -> dict[str, Any] | None:
    """Accuracy and worst class of every corruption and severity, mean over seeds; None if there are no corruptions.

    Args:
        comparison: the methods.
    """
    found = {
        label: [run for run in runs if run.result is not None and len(run.result.corruptions)]
        for label, runs in comparison.methods.items()
    }
    tables = {label: [_of(run) for run in runs] for label, runs in found.items() if runs}
    if not tables:
        return None
    every = [table for group in tables.values() for table in group]
    names = list(dict.fromkeys(name for table in every for name in table.names))
    severities = sorted({severity for table in every for severity in table.severities})
    methods = [
        {
            "method": label,
            "index": list(comparison.methods).index(label),
            "seeds": len(group),
            "mce": _mce(found[label]),
            "grids": [(part, _grid(group, names, severities, part, comparison.corruptions.get(label))) for part in PARTS],
        }
        for label, group in tables.items()
    ]
    return {"severities": severities, "methods": methods, "sources": list(dict.fromkeys(_source(table) for table in every))}


def _of(run: Run) -> CorruptionResults:
    assert run.result is not None
    return run.result.corruptions


def _source(table: CorruptionResults) -> str:
    """Where the images come from, in words."""
    about = canonical(table.source)
    text = str(about.get("source", "images of unknown origin"))
    if table.made:
        made = about.get("made") or about
        text += f" (version {table.version}, seed {made.get('seed', '?')})"
    return "; ".join([text, *map(str, about.get("notes", ()))])


def _mce(runs: Sequence[Run]) -> str:
    """Mean corruption error against a reference, if the evaluation has one; mean over seeds."""
    found = [run.result.config.get("mean_corruption_error") for run in runs if run.result is not None]
    values = [entry["value"] for entry in found if isinstance(entry, Mapping) and _is_number(entry.get("value"))]
    return spread_text(Spread.of(values)) if len(values) == len(runs) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _grid(
    tables: Sequence[CorruptionResults], names: Sequence[str], severities: Sequence[int], part: str, means: CorruptionMeans | None
) -> dict[str, Any]:
    values = np.full((len(tables), len(names), len(severities)), np.nan)
    for place, table in enumerate(tables):
        shown = table.accuracy if part == "overall" else table.worst_class_accuracy
        rows, columns = [names.index(name) for name in table.names], [severities.index(at) for at in table.severities]
        values[place][np.ix_(rows, columns)] = shown
    grid = [[Spread.of(values[:, row, column]).mean for column in range(len(severities))] for row in range(len(names))]
    return {
        "rows": [
            {"name": name, "cells": [_cell(value) for value in row], "mean": _cell(Spread.of(row).mean)}
            for name, row in zip(names, grid, strict=True)
        ],
        "mean": _mean(part, means),
    }


def _mean(part: str, means: CorruptionMeans | None) -> str:
    """The mean with the set that it is over; a dash if the runs of the method have different sets."""
    if means is None:
        return "-"
    return f"{spread_text(means.overall if part == 'overall' else means.worst)} over {means.label}"


def _cell(value: float) -> dict[str, Any]:
    if math.isnan(value):
        return {"text": "-", "value": None, "strength": 0}
    return {"text": per_cent(value), "value": round(value, 6), "strength": round(100 * (1 - value))}
