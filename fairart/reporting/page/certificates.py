"""The section of certificates: curves over the radius, and a grid of class and radius for each method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fairart.reporting.certified import CertificateMeans
from fairart.reporting.comparison import Comparison
from fairart.reporting.comparison_text import per_cent, spread_text
from fairart.reporting.page.svg import Line, line_chart
from fairart.reporting.tables import Spread

__all__ = ["certificates"]

POINTS = 61
"""Points of a curve."""


def certificates(comparison: Comparison) -> list[dict[str, Any]] | None:
    """A group for each certificate: the curve, and the classes of every method by radius; None without certificates.

    Args:
        comparison: the methods.
    """
    labels = dict.fromkeys(label for _, label in comparison.certificates)
    groups = [_group(comparison, label) for label in labels]
    return groups or None


def _group(comparison: Comparison, label: str) -> dict[str, Any]:
    index = {method: place for place, method in enumerate(comparison.methods)}
    found = {method: means for (method, name), means in comparison.certificates.items() if name == label}
    first = next(iter(found.values()))
    reach = max(float(result.gained.max()) for means in found.values() for result in means.results)
    return {
        "label": label,
        "about": first.about,
        "radii": [f"{radius:.4g}" for radius in first.radii],
        "chart": _chart(label, found, index, max(reach, *first.radii)),
        "methods": [
            {
                "method": method,
                "index": index[method],
                "seeds": len(means.results),
                "abstained": spread_text(means.abstained),
                "weakest": _weakest(means, comparison),
                "rows": _rows(means, comparison),
            }
            for method, means in found.items()
        ],
    }


def _chart(label: str, found: dict[str, CertificateMeans], index: dict[str, int], reach: float) -> Any:
    at = np.linspace(0, reach if reach > 0 else 1.0, POINTS)
    lines = []
    for method, means in found.items():
        overall = np.array([100 * means.overall(float(radius)).mean for radius in at])
        worst = np.array([100 * means.worst(float(radius)).mean for radius in at])
        lines += [
            Line(overall, index[method], f"{method}, all samples"),
            Line(worst, index[method], f"{method}, lowest class at each radius", dashed=True),
        ]
    ticks = {place: f"{at[place]:.2g}" for place in range(0, POINTS, (POINTS - 1) // 6)}
    return line_chart(lines, label=f"{label}: share certified over the radius", high=100.0, ticks=ticks, axis="radius")


def _weakest(means: CertificateMeans, comparison: Comparison) -> str:
    medians = [spread.mean for spread in means.median_radius()]
    averages = [Spread.of([result.mean_radius[place] for result in means.results]).mean for place in range(len(medians))]
    place = min((k for k in range(len(medians)) if not math.isnan(medians[k])), key=lambda k: (medians[k], averages[k]))
    return f"class {comparison.classes[place]} ({medians[place]:.3g})"


def _rows(means: CertificateMeans, comparison: Comparison) -> list[dict[str, Any]]:
    shares = [means.classes(radius) for radius in means.radii]
    rows = [
        {
            "name": name,
            "cells": [_cell(column[place]) for column in shares],
            "median": _radius(means.median_radius()[place]),
        }
        for place, name in enumerate(comparison.classes)
    ]
    pooled = Spread.of([float(np.median(result.gained)) for result in means.results])
    overall = {"name": "overall", "cells": [_cell(means.overall(radius)) for radius in means.radii], "median": _radius(pooled)}
    return [*rows, overall]


def _cell(spread: Spread) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "strength": 0}
    return {"text": per_cent(spread.mean), "value": round(spread.mean, 6), "strength": round(100 * (1 - spread.mean))}


def _radius(spread: Spread) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None}
    return {"text": f"{spread.mean:.3g}", "value": round(spread.mean, 6)}
