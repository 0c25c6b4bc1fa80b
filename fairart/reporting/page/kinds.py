"""The section of every kind of robustness: classes down, kinds across, and the rank correlations between kinds."""

from __future__ import annotations

import math
from typing import Any

from fairart.reporting.comparison import Comparison
from fairart.reporting.kinds import ByKind, MethodKinds
from fairart.reporting.kinds.text import NOTES, agreement_text, head, kind_notes, number_text

__all__ = ["kinds"]


def kinds(comparison: Comparison) -> dict[str, Any] | None:
    """A table of classes for each method and one of correlations; None for fewer than three kinds.

    Args:
        comparison: the methods.
    """
    found = comparison.by_kind
    if found is None:
        return None
    order = list(comparison.methods)
    return {
        "heads": [head(kind) for kind in found.kinds],
        "names": [kind.name for kind in found.kinds],
        "methods": [_method(found, label, one, order.index(label), comparison) for label, one in found.methods.items()],
        "agreement": _agreement(found),
        "several_seeds": found.several_seeds,
        "notes": kind_notes(found)[len(NOTES) :],
    }


def _method(found: ByKind, label: str, one: MethodKinds, index: int, comparison: Comparison) -> dict[str, Any]:
    ranks, marked = one.ranks, one.marked
    rows = []
    for place in found.order:
        cells = []
        for row, kind in enumerate(found.kinds):
            spread = one.spreads[row][place]
            last = max((rank for rank in ranks[row] if not math.isnan(rank)), default=1.0)
            absent = math.isnan(spread.mean)
            cells.append(
                {
                    "text": number_text(kind, spread),
                    "value": None if absent else round(spread.mean, 6),
                    # The worst class has the full colour, the best one none; equal classes have none either.
                    "strength": 0 if absent or last == 1 else round(100 * (last - ranks[row, place]) / (last - 1)),
                    "rank": "" if absent else f"{int(ranks[row, place])}",
                    "marked": bool(marked[row, place]),
                }
            )
        rows.append({"name": comparison.classes[place], "cells": cells, "times": int(marked[:, place].sum())})
    return {"method": label, "index": index, "rows": rows}


def _agreement(found: ByKind) -> list[dict[str, Any]]:
    return [
        {"name": kind.name, "cells": [_pair(found, row, column) for column in range(row)]} for row, kind in enumerate(found.kinds)
    ]


def _pair(found: ByKind, row: int, column: int) -> dict[str, Any]:
    both = found.agreement
    value, ends = float(both.spearman[row, column]), both.spearman_intervals[row, column]
    rho = agreement_text(value, ends)
    tau = agreement_text(float(both.kendall[row, column]), both.kendall_intervals[row, column])
    absent = math.isnan(value)
    return {
        "text": "-" if absent else f"{value:.2f}",
        "interval": "" if absent else f"{ends[0]:.2f} to {ends[1]:.2f}",
        "detail": f"{found.kinds[row].name} and {found.kinds[column].name}: Spearman {rho}, Kendall {tau}",
        "strength": 0 if absent else round(70 * abs(value)),
        "kind": "bad" if value < 0 else "good",
    }
