"""The section of temperature scaling: calibration error before and after, by method and result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairart.evaluation.results.temperature import KINDS, TemperatureResults
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import spread_text
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["temperature"]


def temperature(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each method and each result that was scaled in all of its runs; empty without any.

    Args:
        comparison: the methods.
    """
    rows = []
    for at, (label, runs) in enumerate(comparison.methods.items()):
        found = _of(runs)
        if not found:
            continue
        mean = Spread.of([one.whole.overall for one in found])
        overall = f"{mean.mean:.2f}" + ("" if math.isnan(mean.std) else f" ± {mean.std:.2f}")
        named = [dict(one.all()) for one in found]
        for name in named[0]:
            if all(name in results for results in named):
                several = [results[name] for results in named]
                cells = [_ece([one.calibration(kind).ece for one in several]) for kind in (None, *KINDS)]
                rows.append({"index": at, "method": label, "result": name, "temperature": overall, "cells": cells})
    return rows


def _of(runs: Sequence[Run]) -> list[TemperatureResults]:
    """Of every run of a method; empty if one has none."""
    found = [None if run.result is None else run.result.temperature for run in runs]
    return [] if any(one is None for one in found) else [one for one in found if one is not None]


def _ece(values: Sequence[float]) -> Mapping[str, Any]:
    spread = Spread.of(values)
    absent = math.isnan(spread.mean)
    strength = 0 if absent else round(100 * math.sqrt(min(1.0, spread.mean)))
    return {"text": spread_text(spread), "value": None if absent else round(spread.mean, 6), "strength": strength}
