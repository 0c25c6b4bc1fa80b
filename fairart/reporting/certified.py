"""Certificates of several runs side by side: which of them compare, and their numbers over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation import CertificateResult
from fairart.evaluation.results.canonical import canonical
from fairart.norms import norm_text
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["CertificateMeans", "certificate_means"]


@dataclass(frozen=True)
class CertificateMeans:
    """One method under one certificate.

    Args:
        label: of the certificate, with the options in which runs differ; methods with one label compare.
        results: one a seed.
        radii: that tables show, of all runs with this label.
    """

    label: str
    results: tuple[CertificateResult, ...]
    radii: tuple[float, ...]

    @property
    def about(self) -> str:
        """Norm and subject, in words: ``"L2, of the smoothed classifier, not the model itself"``."""
        return f"{norm_text(self.results[0].order)}, of {self.results[0].subject}"

    def overall(self, radius: float) -> Spread:
        """Share of all samples certified at a radius."""
        return Spread.of([result.accuracy_at(radius) for result in self.results])

    def worst(self, radius: float) -> Spread:
        """The same of each seed's own worst class at that radius."""
        return Spread.of([float(np.nanmin(result.class_accuracy_at(radius))) for result in self.results])

    def classes(self, radius: float) -> tuple[Spread, ...]:
        """The same of each class."""
        return tuple(Spread.of(column) for column in np.array([r.class_accuracy_at(radius) for r in self.results]).T)

    def median_radius(self) -> tuple[Spread, ...]:
        """Median radius of each class."""
        return tuple(Spread.of(column) for column in np.array([result.median_radius for result in self.results]).T)

    @property
    def abstained(self) -> Spread:
        """Share of the samples for which it abstains."""
        return Spread.of([float((result.predictions < 0).mean()) for result in self.results])

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Plain numbers for JSON.

        Args:
            classes: K names.
        """
        return {
            "of": self.about,
            "median_radius": dict(zip(classes, (spread.to_dict() for spread in self.median_radius()), strict=True)),
            "abstained": self.abstained.to_dict(),
            "at": [
                {
                    "radius": radius,
                    "overall": self.overall(radius).to_dict(),
                    "worst_class": self.worst(radius).to_dict(),
                    "classes": dict(zip(classes, (spread.to_dict() for spread in self.classes(radius)), strict=True)),
                }
                for radius in self.radii
            ],
        }


def certificate_means(methods: Mapping[str, Sequence[Run]]) -> dict[tuple[str, str], CertificateMeans]:
    """(method, label) -> numbers, for the certificates that all runs of a method have with the same options.

    A certificate that methods have with different options has a label for each; which radii are shown makes no difference.

    Args:
        methods: label -> its evaluated runs.
    """
    found: dict[tuple[str, str], list[CertificateResult]] = {}
    for method, runs in methods.items():
        every = [run.result.certificates if run.result is not None else {} for run in runs]
        for label in every[0]:
            results = [one[label] for one in every if label in one]
            if len(results) == len(runs) and all(_settings(one) == _settings(results[0]) for one in results):
                found[method, label] = results
    labels = {key: _label(key[1], results[0], found) for key, results in found.items()}
    radii = {label: _radii([results for key, results in found.items() if labels[key] == label]) for label in labels.values()}
    return {
        (key[0], labels[key]): CertificateMeans(labels[key], tuple(results), radii[labels[key]]) for key, results in found.items()
    }


def _settings(result: CertificateResult) -> dict[str, Any]:
    config = canonical(result.config)
    options = {key: value for key, value in config.get("options", {}).items() if key != "radii"}
    return {"certificate": config.get("certificate"), "norm": config.get("norm"), **options}


def _label(label: str, result: CertificateResult, found: Mapping[tuple[str, str], Sequence[CertificateResult]]) -> str:
    others = [_settings(results[0]) for (_, other), results in found.items() if other == label]
    own = _settings(result)
    differing = [key for key in own if any(other.get(key) != own[key] for other in others)]
    return f"{label} ({', '.join(f'{key}={own[key]!r}' for key in differing)})" if differing else label


def _radii(groups: Sequence[Sequence[CertificateResult]]) -> tuple[float, ...]:
    return tuple(sorted({radius for results in groups for result in results for radius in result.shown}))
