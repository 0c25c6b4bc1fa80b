"""Outliers as tables: every score on every set, and the predicted classes side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.grid import Grid, per_cent, share_cell
from fairart.evaluation.results.ood_detection import LEAST, Detection
from fairart.evaluation.results.ood_results import OodResults

__all__ = ["CONDITIONS", "class_name", "ood_class_grid", "ood_grid", "ood_notes"]

CONDITIONS = {"none": "-", "outliers": "outliers raised", "inliers": "test images lowered", "both": "both"}
"""How the tables call what an attack on the score changed."""


def class_name(ood: OodResults, index: int) -> str:
    """Name of a class, or its number."""
    return str(ood.class_names[index]) if ood.class_names else str(index)


def ood_grid(ood: OodResults, *, intervals: bool = True) -> Grid:
    """A row for each set, score and attack on the score.

    Args:
        ood: results, at least one set.
        intervals: 95 % intervals beside AUROC and FPR.
    """
    heads = ["outliers", "n", "score", "attacked", "AUROC", "AUPR in", "AUPR out", "FPR at 95 % TPR", "worst class: AUROC"]
    rows = []
    for name in ood:
        for score in ood.scores:
            for condition in ood.conditions(name, score):
                found = ood.detection(name, score, attacked=condition)
                rows.append(
                    [
                        *(name, str(len(ood[name])), score, CONDITIONS[condition]),
                        share_cell(found.auroc, found.auroc_interval, intervals),
                        *(per_cent(found.aupr_in), per_cent(found.aupr_out)),
                        share_cell(found.fpr, found.fpr_interval, intervals),
                        _worst(ood, found),
                    ]
                )
    return Grid(heads, rows, 0)


def _worst(ood: OodResults, found: Detection) -> str:
    worst = found.worst_class
    return "-" if worst is None else f"{per_cent(found.worst_class_auroc)} {class_name(ood, worst)}"


def ood_class_grid(ood: OodResults) -> Grid:
    """The the predicted classes under the first score: where the outliers go, and how well each class tells them apart.

    Args:
        ood: results, at least one set.
    """
    assert ood.inliers is not None
    found = {name: ood.detection(name) for name in ood}
    first = next(iter(found.values()))
    rows = []
    for index in range(ood.nb_classes):
        cells = [
            " / ".join(
                per_cent(float(value)) for value in (each.predicted_share[index], each.class_auroc[index], each.class_fpr[index])
            )
            for each in found.values()
        ]
        rows.append([class_name(ood, index), str(first.support_in[index]), *cells])
    overall = [f"{per_cent(1.0)} / {per_cent(each.auroc)} / {per_cent(each.fpr)}" for each in found.values()]
    rows.append(["overall", str(len(ood.inliers)), *overall])
    return Grid(["predicted class", "test images", *found], rows, ood.nb_classes)


def ood_notes(ood: OodResults) -> list[str]:
    """The lines below: units, settings, where the outliers come from, and which classes swallow them.

    Args:
        ood: results, at least one set.
    """
    about: dict[str, Any] = canonical(ood.config)
    score = ood.scores[0]
    lines = [
        "per cent; a larger score means more like the test images, which are the positives of AUROC, TPR and AUPR in",
        f"classes: score {score}; share of the outliers predicted as the class / AUROC / FPR at 95 % TPR among what is predicted "
        "as it",
        f"worst class: of those with at least {LEAST} test images and {LEAST} outliers",
        *(_set_line(ood, name, about) for name in ood),
    ]
    if "attack" in about:
        options = {key: value for key, value in about["attack"].items() if key != "scores"}
        shown = ", ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in options.items()
        )
        lines.append(f"attacked scores: {', '.join(about['attack']['scores'])}, by PGD({shown})")
    if "fitted on" in about:
        lines.append(f"mahalanobis and knn: fitted on {about['fitted on']} by {about.get('fitted by', 'pytorch-ood')}")
    return list(map(terminal, lines))


def _set_line(ood: OodResults, name: str, about: dict[str, Any]) -> str:
    found, own = ood.detection(name), about.get("sets", {}).get(name, {})
    source, data = own.get("source", "of unknown origin"), own.get("dataset")
    if data is not None and source == "given images":
        source = data
    elif data not in (None, name):
        source = f"{source} ({data})"
    attracting = found.attracting_class
    text = f"{name}: {source}; {per_cent(float(found.predicted_share[attracting]))} % are taken for "
    text += class_name(ood, attracting)
    swallowed = found.swallowed_share
    if not math.isnan(swallowed[0]):
        most = int(np.argmax(swallowed))
        text += (
            f"; {int(found.class_passed.sum())} pass {ood.scores[0]} at 95 % TPR, {per_cent(float(swallowed[most]))} % of them "
            f"as {class_name(ood, most)}"
        )
    rates, certain = ood.target_rates(name), ood.target_confidences(name)
    if rates is not None and certain is not None and np.isfinite(rates).any():
        lowest = int(np.nanargmin(rates))
        reached = float(np.mean(ood[name].predictions == np.arange(len(ood[name])) % ood.nb_classes))
        text += (
            f"; {per_cent(reached)} % reach the class that they are driven to, fewest {class_name(ood, lowest)} "
            f"({per_cent(float(rates[lowest]))} %)"
        )
    return text
