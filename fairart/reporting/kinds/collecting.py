"""What the evaluations of a comparison hold of every kind of robustness, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.norms import norm_text
from fairart.reporting.by_shift import ByShift
from fairart.reporting.certified import CertificateMeans
from fairart.reporting.comparable import WORST_CASE, corruption_sets
from fairart.reporting.kinds.measures import Gaps, Kind, Means, Measure, placements
from fairart.reporting.outliers import OodKey
from fairart.reporting.run_results import Run

__all__ = ["measured_kinds"]

Columns = dict[Kind, Sequence[Measure]]


def measured_kinds(
    methods: Mapping[str, Sequence[Run]],
    attacks: Sequence[str],
    results: Mapping[tuple[str, str], Sequence[AttackResult]],
    *,
    corruptions: bool,
    certificates: Mapping[tuple[str, str], CertificateMeans],
    outliers: Mapping[OodKey, Mapping[str, object]],
    shifts: Sequence[ByShift],
) -> dict[str, Columns]:
    """Method -> kind -> one measure a seed, of everything that compares between the methods.

    The kinds are clean data, every attack, certificates, corruptions, shifted test sets, outliers by the first score, and
    calibration. The worst case over attacks is none of its own: it is made of the attacks.

    Args:
        methods: label -> its evaluated runs.
        attacks: labels in order.
        results: (method, attack) -> one result a seed.
        corruptions: whether corruptions are shown.
        certificates: (method, label) -> results of a certificate.
        outliers: (set, score, attacked) -> the methods that have it.
        shifts: the shifted test sets.
    """
    found: dict[str, Columns] = {label: {} for label in methods}
    _attacked(found, attacks, results)
    for (method, _), means in certificates.items():
        found[method][_certified(means)] = [Means(one.labels, one.gained, one.nb_classes) for one in means.results]
    for method, (label, several) in corruption_sets(methods).items() if corruptions else ():
        kind = Kind(f"corruptions ({label})", "accuracy, mean over corruptions and severities")
        found[method][kind] = [_corrupted(one) for one in several]
    for shift in shifts:
        kind = Kind(f"shift {shift.name}", "accuracy on the shifted test set")
        for method, cell in shift.cells.items():
            found[method][kind] = [_right(drop.shifted) for drop in cell.drops]
    _outside(found, methods, outliers)
    _calibrated(found, results)
    return found


def _attacked(
    found: Mapping[str, Columns], attacks: Sequence[str], results: Mapping[tuple[str, str], Sequence[AttackResult]]
) -> None:
    for attack in attacks:
        kind = Kind(attack, "accuracy" if attack == "clean" else "accuracy under the attack")
        for method, columns in found.items():
            if attack != WORST_CASE and (method, attack) in results:
                columns[kind] = [_right(one) for one in results[method, attack]]


def _outside(
    found: Mapping[str, Columns], methods: Mapping[str, Sequence[Run]], outliers: Mapping[OodKey, Mapping[str, object]]
) -> None:
    for key in _shown(outliers):
        about = f"AUROC of {key[1]}: test images of the class against all outliers of the set"
        for method in outliers[key]:
            found[method][Kind(f"ood {key[0]}", about)] = [_told(run, key) for run in methods[method]]


def _calibrated(found: Mapping[str, Columns], results: Mapping[tuple[str, str], Sequence[AttackResult]]) -> None:
    kind = Kind("calibration", "calibration error (ECE) of the images predicted as the class", higher_is_better=False)
    for method, columns in found.items():
        clean = results.get((method, "clean"), ())
        if clean and all(one.confidences is not None for one in clean):
            columns[kind] = [Gaps(one) for one in clean]


def _right(result: AttackResult) -> Means:
    return Means(result.labels, result.correct.astype(np.float64), result.nb_classes)


def _certified(means: CertificateMeans) -> Kind:
    first = means.results[0]
    about = f"mean certified radius, {norm_text(first.order)}, of {first.subject}; 0 where wrong or abstained"
    return Kind(f"certified ({means.label})", about, share=False)


def _corrupted(results: CorruptionResults) -> Means:
    every = list(results.values())
    return Means(every[0].labels, np.mean([one.correct for one in every], axis=0), every[0].nb_classes)


def _shown(outliers: Mapping[OodKey, Mapping[str, object]]) -> list[OodKey]:
    """Every set under the first score, without an attack on it."""
    keys = list(outliers)
    return [key for key in keys if key[1] == keys[0][1] and key[2] == "none"]


def _told(run: Run, key: OodKey) -> Means:
    assert run.result is not None
    assert run.result.ood.inliers is not None
    name, score, _ = key
    inside, outside = run.result.ood.inliers.scores[score], run.result.ood[name].scores[score]
    return Means(run.result.labels, placements(inside, outside), run.result.nb_classes)
