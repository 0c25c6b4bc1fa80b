"""The section of affine curves: accuracy of each class against the degree of rotation, scale and shear."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fairart.evaluation.results.affine_results import AffineResults
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent
from fairart.reporting.tables import Spread

__all__ = ["affine"]


def affine(comparison: Comparison) -> list[dict[str, Any]]:
    """For each family a grid of classes and degrees for each method, mean over seeds; empty without any.

    Args:
        comparison: the methods.
    """
    found = {
        label: [run.result.affine for run in runs if run.result is not None and len(run.result.affine)]
        for label, runs in comparison.methods.items()
    }
    families = dict.fromkeys(family for several in found.values() for one in several for family in one.families)
    sections = []
    for family in families:
        grids = []
        for at, (label, several) in enumerate(found.items()):
            # Runs of one method with other degrees have no mean.
            if several and len({one.degrees(family) for one in several}) == 1 and several[0].degrees(family):
                grids.append({"index": at, "method": label, **_grid(comparison, several, family)})
        if grids:
            sections.append({"family": family, "grids": grids})
    return sections


def _grid(comparison: Comparison, several: list[AffineResults], family: str) -> dict[str, Any]:
    classes = np.array([one.class_accuracy(family) for one in several])
    curves = [*zip(comparison.classes, np.moveaxis(classes, 1, 0), strict=True)]
    curves += [
        ("overall", np.array([one.accuracy(family) for one in several])),
        ("worst class", np.array([one.worst_class_accuracy(family) for one in several])),
    ]
    rows = [{"name": name, "cells": [_cell(Spread.of(column).mean) for column in curve.T]} for name, curve in curves]
    return {"degrees": [f"{degree:g}" for degree in several[0].degrees(family)], "rows": rows}


def _cell(value: float) -> dict[str, Any]:
    if math.isnan(value):
        return {"text": "-", "value": None, "strength": 0}
    return {"text": per_cent(value), "value": round(value, 6), "strength": round(100 * (1 - value))}
