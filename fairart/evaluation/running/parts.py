"""The parts of an evaluation, each from what runs to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.evaluation.attacks.specs import AttackSpec
from fairart.evaluation.certificates.specs import CertificateSpec
from fairart.evaluation.results.affine_results import AffineResults, affine_label
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.corruption_results import CorruptionResults, corruption_label
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.shift_results import ShiftResults
from fairart.evaluation.results.temperature import ScaledResult, TemperatureResults
from fairart.evaluation.running.corrupted import CorruptionSource
from fairart.evaluation.running.runner import Runner
from fairart.evaluation.running.scaling import COLUMNS
from fairart.evaluation.running.scores import Scores
from fairart.evaluation.running.shifted import Shifted

__all__ = [
    "affine_results",
    "attack_results",
    "certificate_result",
    "corruption_results",
    "shift_results",
    "temperature_results",
]


def attack_results(
    runner: Runner, specs: Sequence[AttackSpec], common: dict[str, Any]
) -> tuple[list[AttackResult], list[Scores]]:
    """Clean data, then every attack: results, and the scores that they are made of.

    Args:
        runner: of the model.
        specs: the attacks.
        common: further arguments of every result.
    """
    clean = runner.clean()
    wrong = int((clean.predictions != runner.labels).sum())
    # Only what is right on clean data is attacked.
    runner.progress.expect(-wrong * len(specs))

    def result(scores: Scores, **more: Any) -> AttackResult:
        return AttackResult(
            labels=runner.labels, predictions=scores.predictions, confidences=scores.confidences, **common, **more
        )

    results, every = [result(clean, label="clean", config={"attack": "none", "options": {}})], [clean]
    for spec in specs:
        scores, perturbation = runner.attack(spec, clean)
        results.append(result(scores, label=spec.label, config=spec.config, perturbation=perturbation))
        every.append(scores)
    return results, every


def corruption_results(
    runner: Runner, source: CorruptionSource | None, severities: Sequence[int], common: dict[str, Any]
) -> CorruptionResults:
    """Results on corrupted images; empty without a source.

    Args:
        runner: of the model.
        source: of the images.
        severities: those that are scored.
        common: further arguments of every result.
    """
    if source is None:
        return CorruptionResults()
    found = {}
    for name in source.names:
        for severity in severities:
            scores = runner.corruption(source, name, severity)
            found[name, severity] = AttackResult(
                label=corruption_label(name, severity),
                labels=source.labels,
                config={"corruption": name, "severity": severity},
                predictions=scores.predictions,
                confidences=scores.confidences,
                **common,
            )
    about = {**source.describe(), "severities": list(severities)}
    return CorruptionResults(found, source={**about, "own_labels": not np.array_equal(source.labels, runner.labels)})


def certificate_result(runner: Runner, spec: CertificateSpec, common: dict[str, Any]) -> CertificateResult:
    """What one certificate says of every sample.

    Args:
        runner: of the model.
        spec: the certificate.
        common: further arguments of every result.
    """
    predictions, radii = runner.certificate(spec)
    return CertificateResult(
        label=spec.label, labels=runner.labels, predictions=predictions, radii=radii, config=spec.config, **common
    )


def shift_results(runner: Runner, shifts: Shifted, common: dict[str, Any]) -> tuple[ShiftResults, list[Scores]]:
    """Results on shifted test sets, and the scores that they are made of.

    Args:
        runner: of the model.
        shifts: name -> images and labels, checked.
        common: further arguments of every result.
    """
    found, every = {}, []
    for name, (x, labels) in shifts.items():
        scores = runner.shift(name, x, labels)
        found[name] = AttackResult(
            label=name,
            labels=labels,
            config={"attack": "none", "options": {}, "shift": name},
            predictions=scores.predictions,
            confidences=scores.confidences,
            **common,
        )
        every.append(scores)
    return ShiftResults(found), every


def affine_results(runner: Runner, curves: Mapping[str, Sequence[float]], common: dict[str, Any]) -> AffineResults:
    """Results of every affine family at every degree.

    Args:
        runner: of the model.
        curves: family -> degrees.
        common: further arguments of every result.
    """
    found = {}
    for family, degrees in curves.items():
        for degree in degrees:
            scores = runner.affine(family, degree)
            found[family, degree] = AttackResult(
                label=affine_label(family, degree),
                labels=runner.labels,
                config={"affine": family, "degree": degree},
                predictions=scores.predictions,
                confidences=scores.confidences,
                **common,
            )
    return AffineResults(found)


def temperature_results(
    runner: Runner,
    results: Sequence[AttackResult],
    scores: Sequence[Scores],
    shifts: ShiftResults,
    shift_scores: Sequence[Scores],
) -> TemperatureResults | None:
    """The scaled confidences of all results; None where no temperatures were asked for.

    Args:
        runner: of the model.
        results: clean data and attacks.
        scores: those of each result.
        shifts: results on shifted test sets.
        shift_scores: those of each of these.
    """
    scaling = runner.scaling
    if scaling is None:
        return None

    def scaled(result: AttackResult, found: Scores) -> ScaledResult:
        return ScaledResult(result, {kind: found.more[column] for kind, column in COLUMNS.items()})

    return TemperatureResults(
        scaling.whole,
        scaling.halves,
        {result.label: scaled(result, found) for result, found in zip(results, scores, strict=True)},
        {name: scaled(shifts[name], found) for name, found in zip(shifts, shift_scores, strict=True)},
    )
