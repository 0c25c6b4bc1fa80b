"""The tables of certificates: the share of each class that is certified at some radii, with what it is about below."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.grid import Grid, per_cent, share_cell
from fairart.norms import norm_text

__all__ = ["certificate_grid", "certificate_notes", "certificate_title", "looseness"]


def certificate_title(result: CertificateResult) -> str:
    """What the table shows: ``"smoothing: certified in L2, of the smoothed classifier, not the model itself"``."""
    return f"{result.label}: certified in {norm_text(result.order)}, of {result.subject}"


def certificate_grid(result: CertificateResult, *, intervals: bool = True) -> Grid:
    """Class rows, radius columns, abstentions and median radius; then overall and worst class.

    Args:
        result: the certificate.
        intervals: 95 % intervals beside the numbers.
    """
    shown, support, abstained = result.shown, result.support, result.abstained
    columns = [_column(result, radius, intervals) for radius in shown]
    names = [result.name_of(index) for index in range(result.nb_classes)]
    heads = [*names, "overall", "worst class"]
    counts = [*map(str, support), str(len(result.labels)), ""]
    missing = [*map(str, abstained), str(int(abstained.sum())), ""]
    middle = [*(_radius(value) for value in result.median_radius), _radius(float(np.median(result.gained))), ""]
    rows = [list(row) for row in zip(heads, counts, *columns, missing, middle, strict=True)]
    titles = ["class", "n", *(f"radius {radius:.4g}" for radius in shown), "abstained", "median radius"]
    return Grid(titles, rows, result.nb_classes)


def _radius(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def _column(result: CertificateResult, radius: float, intervals: bool) -> list[str]:
    shares, ends = result.class_accuracy_at(radius), result.class_intervals_at(radius)
    cells = [share_cell(float(share), pair, intervals) for share, pair in zip(shares, ends, strict=True)]
    cells.append(share_cell(result.accuracy_at(radius), result.interval_at(radius), intervals))
    worst = result.worst_class_at(radius)
    lowest = share_cell(float(shares[worst]), result.worst_class_interval_at(radius), intervals)
    return [*cells, f"{lowest} {result.name_of(worst)}"]


def certificate_notes(result: CertificateResult, whole: EvaluationData | None = None) -> list[str]:
    """The lines below the table: whose predictions, configuration, how sure, weakest class, how loose.

    Args:
        result: the certificate.
        whole: the evaluation that it is part of; without it nothing is said about looseness.
    """
    config: dict[str, Any] = canonical(result.config)
    options = ", ".join(
        f"{key}={_written(value)}" for key, value in config.get("options", {}).items() if key != "radii" and value is not None
    )
    notes = [f"{key}: {_written(value)}" for key, value in config.get("notes", {}).items()]
    norm, weakest = norm_text(result.order), result.weakest_class
    alpha = config.get("options", {}).get("alpha")
    sure = "holds for every sample" if result.deterministic else "holds with a probability"
    if isinstance(alpha, float) and not result.deterministic:
        sure = f"each radius is too large with a probability of at most {alpha:g}"
    lines = [
        f"per cent of samples whose prediction is right and does not change within a radius in {norm}",
        f"about {result.subject}; {sure}",
        "; ".join([f"{result.label}: {config.get('certificate', result.label)}({options})", *notes]),
        f"smallest median radius: class {result.name_of(weakest)}, {_radius(float(result.median_radius[weakest]))}; "
        "wrong predictions and abstentions count as 0",
        f"abstained: {int(result.abstained.sum())} of {len(result.labels)} samples "
        f"({per_cent(float((result.predictions < 0).mean()))} %)",
        *([] if whole is None else looseness(result, whole)),
    ]
    return list(map(terminal, lines))


def looseness(result: CertificateResult, whole: EvaluationData) -> list[str]:
    """How far a deterministic certificate is from what is known from above: attacks in its norm, and smoothing in L2.

    Args:
        result: the certificate.
        whole: the evaluation that it is part of.
    """
    if not result.deterministic:
        return []
    lines = []
    closest = np.full(len(result.labels), np.inf)
    for attack in whole.values():
        if attack.budget is not None and attack.budget.order == result.order:
            closest = np.where(attack.correct, closest, np.minimum(closest, attack.budget.eps))
    # The true radius of a sample that an attack fooled lies between its own and the smallest eps that did.
    fooled = result.right & np.isfinite(closest) & (closest > 0)
    if fooled.any():
        share = float(np.median(result.radii[fooled] / closest[fooled]))
        lines.append(
            f"how loose: of {int(fooled.sum())} right samples that an attack in {norm_text(result.order)} fooled, the radius is "
            f"{100 * share:.3g} % (median) of the smallest eps that fooled them"
        )
    for other in whole.certificates.values():
        both = result.right & other.right & (other.radii > 0)
        if other.order == result.order and not other.deterministic and both.any():
            share = float(np.median(result.radii[both] / other.radii[both]))
            lines.append(
                f"how loose: the radius is {100 * share:.3g} % (median) of that of {other.label!r}, which is about "
                f"{other.subject}"
            )
    return lines


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
