"""Certificates in the file of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.evaluation.results.certificate_result import CertificateResult

__all__ = ["certificates_from_list", "certificates_to_list"]


def certificates_to_list(certificates: Mapping[str, CertificateResult]) -> list[dict[str, Any]]:
    """Plain numbers, one entry a certificate; predictions and radii of every sample, so that any other radius can be asked for.

    Args:
        certificates: by label.
    """
    return [_to_dict(one) for one in certificates.values()]


def _to_dict(one: CertificateResult) -> dict[str, Any]:
    return {
        "label": one.label,
        "config": one.config,
        "median_radius": one.median_radius,
        "mean_radius": one.mean_radius,
        "weakest_class": one.weakest_class,
        "abstained": one.abstained,
        "at": [
            {
                "radius": radius,
                "accuracy": one.accuracy_at(radius),
                "accuracy_interval": one.interval_at(radius),
                "class_accuracy": one.class_accuracy_at(radius),
                "confidence_interval": one.class_intervals_at(radius),
                "worst_class": one.worst_class_at(radius),
                "worst_class_interval": one.worst_class_interval_at(radius),
                "certified": one.class_counts_at(radius),
            }
            for radius in one.shown
        ],
        "predictions": one.predictions,
        "radii": one.radii,
    }


def certificates_from_list(entries: Sequence[Mapping[str, Any]], *, labels: Any, **common: Any) -> list[CertificateResult]:
    """Read entries of :func:`certificates_to_list`, and check that their counts are those of their predictions.

    Args:
        entries: one a certificate.
        labels: (n,) true classes.
        **common: ``nb_classes`` and ``class_names``.

    Raises:
        KeyError, TypeError, ValueError: a damaged entry.
    """
    return [_from_dict(entry, labels, common) for entry in entries]


def _from_dict(entry: Mapping[str, Any], labels: Any, common: Mapping[str, Any]) -> CertificateResult:
    predictions, radii = np.asarray(entry["predictions"]), np.asarray(entry["radii"], dtype=np.float64)
    if predictions.shape != labels.shape or predictions.dtype.kind != "i" or radii.shape != labels.shape:
        raise ValueError(f"predictions and radii of certificate {entry['label']!r} must be {len(labels)} numbers")
    if not all(math.isfinite(radius) and radius >= 0 for radius in radii):
        raise ValueError(f"radii of certificate {entry['label']!r} must be finite numbers >= 0")
    one = CertificateResult(
        label=entry["label"],
        labels=labels,
        predictions=predictions.astype(np.int64),
        radii=radii,
        config=dict(entry["config"]),
        **common,
    )
    for at in entry["at"]:
        if one.class_counts_at(float(at["radius"])).tolist() != at["certified"]:
            raise ValueError(f"the counts of certificate {entry['label']!r} are not those of its radii")
    return one
