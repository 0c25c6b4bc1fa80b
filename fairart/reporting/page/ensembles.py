"""The section of ensembles: where their members disagree, class by class and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fairart.evaluation.results.ensemble_results import EnsembleResults
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent

__all__ = ["ensembles"]


def ensembles(comparison: Comparison) -> list[dict[str, Any]]:
    """Tables for each evaluation of an ensemble; empty without any.

    Args:
        comparison: the methods.
    """
    shown = []
    for at, (label, runs) in enumerate(comparison.methods.items()):
        for run in runs:
            if run.result is not None and run.result.ensemble is not None:
                tables = _tables(run.result.ensemble, comparison.classes)
                shown.append({"index": at, "method": label if len(runs) == 1 else run.name, **tables})
    return shown


def _tables(found: EnsembleResults, classes: Sequence[str]) -> dict[str, Any]:
    votes = list(found.values())
    of_classes = [
        [_cell(rate, ends) for rate, ends in zip(one.class_disagreement, one.class_intervals, strict=True)] for one in votes
    ]
    members = [[confusion.accuracy for confusion in (*one.confusions, one.result.confusion)] for one in votes]
    worst = [[_worst(confusion) for confusion in (*one.confusions, one.result.confusion)] for one in votes]
    return {
        "combine": found.combine,
        "members": found.members,
        "labels": list(found),
        "classes": [
            {"name": name, "cells": list(cells)} for name, cells in zip(classes, zip(*of_classes, strict=True), strict=True)
        ],
        "overall": [_cell(one.disagreement, one.interval) for one in votes],
        "pairs": [
            {
                "name": f"{found.members[first]} and {found.members[second]}",
                "cells": [_cell(float(one.pair_disagreement[place])) for one in votes],
            }
            for place, (first, second) in enumerate(votes[0].pairs)
        ],
        "alone": [
            {
                "name": name,
                "cells": [_cell(part[row]) for pair in zip(members, worst, strict=True) for part in pair],
            }
            for row, name in enumerate((*found.members, "ensemble"))
        ],
    }


def _worst(confusion: Any) -> float:
    return float(confusion.class_accuracy[confusion.worst_class])


def _cell(share: float, ends: Any = None) -> dict[str, Any]:
    if math.isnan(share):
        return {"text": "-", "value": None, "strength": 0}
    text = per_cent(share)
    if ends is not None:
        text += f" ({per_cent(float(ends[0]))} to {per_cent(float(ends[1]))})"
    return {"text": text, "value": round(float(share), 6), "strength": round(100 * float(share))}
