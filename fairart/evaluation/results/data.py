"""The numbers that an evaluation measured under all its attacks. Other modules print and save them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.affine_results import AffineResults
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.defence_result import DefenceResult
from fairart.evaluation.results.ensemble_results import EnsembleResults
from fairart.evaluation.results.groups import GroupedResult, GroupsLike, resolve_groups
from fairart.evaluation.results.ood_results import OodResults
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.sanity_check import SanityCheck
from fairart.evaluation.results.shift_results import ShiftResults
from fairart.evaluation.results.temperature import TemperatureResults

__all__ = ["CLEAN", "EvaluationData"]

IntArray = npt.NDArray[np.int64]

CLEAN = "clean"
"""Label of the samples themselves; no attack may have it."""


class EvaluationData(Mapping[str, AttackResult]):
    """All results of one evaluation by label, ``"clean"`` first. Results of corrupted images are in ``corruptions``,
    scores of outliers in ``ood``, those of certificates in ``certificates`` (label -> result), those behind input defences in
    ``defences`` (label -> result).

    Args:
        results: one a label, all of the same samples.
        corruptions: results of corrupted images, of these or other samples.
        certificates: one a label, all of the same samples as the results.
        ood: scores of outliers beside those of the samples.
        config: seed, batch size, device and the like.
        versions: of the packages that computed it.
        checks: sanity checks of the attacks and the model, passed or failed.
        groups: attributes of the samples, see :meth:`by_group`.
        shifts: results on shifted test sets, with samples of their own.
        affine: accuracy against the degree of rotation, scale and shear.
        ensemble: what the members of an ensemble predict; None where the model is none.
        temperature: temperatures, and the confidences that they scale; None where none were asked for.
        defences: one a label, all of the same samples as the results.

    Raises:
        ValueError: no result, two of one label, results of different samples, corruptions with other classes, or groups of
            another number of samples; the same for certificates.
    """

    def __init__(
        self,
        results: Sequence[AttackResult],
        *,
        corruptions: CorruptionResults | None = None,
        certificates: Sequence[CertificateResult] = (),
        ood: OodResults | None = None,
        config: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
        checks: Sequence[SanityCheck] = (),
        groups: GroupsLike | None = None,
        shifts: ShiftResults | None = None,
        temperature: TemperatureResults | None = None,
        affine: AffineResults | None = None,
        ensemble: EnsembleResults | None = None,
        defences: Sequence[DefenceResult] = (),
    ) -> None:
        if not results:
            raise ValueError("an evaluation holds at least one result, got none")
        first, seen = results[0], {results[0].label}
        for result in results[1:]:
            if result.label in seen:
                raise ValueError(f"two results are labelled {result.label!r}")
            seen.add(result.label)
            if result.nb_classes != first.nb_classes or not np.array_equal(result.labels, first.labels):
                raise ValueError(f"results of one evaluation are of the same samples: {result.label!r} has other labels")
        self._results = {result.label: result for result in results}
        self.corruptions = CorruptionResults() if corruptions is None else corruptions
        if any(result.nb_classes != first.nb_classes for result in self.corruptions.values()):
            raise ValueError(f"the results of corruptions have another number of classes than {first.nb_classes}")
        self.certificates = _by_label(certificates, first)
        self.ood = OodResults() if ood is None else ood
        if len(self.ood) and self.ood.nb_classes != first.nb_classes:
            raise ValueError(f"the scores of outliers have another number of classes than {first.nb_classes}")
        self.config = dict(config or {})
        self.versions = dict(versions or {})
        self.checks = tuple(checks)
        self.groups = resolve_groups(groups, len(first.labels))
        self.shifts = ShiftResults() if shifts is None else shifts
        self.temperature = temperature
        self.affine = AffineResults() if affine is None else affine
        self.ensemble = ensemble
        self.defences = _defences(defences, first)
        if any(result.nb_classes != first.nb_classes for result in self.shifts.values()):
            raise ValueError(f"the results of shifts have another number of classes than {first.nb_classes}")

    def __getitem__(self, label: str) -> AttackResult:
        """The result of one label."""
        try:
            return self._results[label]
        except KeyError:
            raise KeyError(f"no result {label!r}; {did_you_mean(label, self._results)}") from None

    def __iter__(self) -> Iterator[str]:
        """The labels, in the order in which they ran."""
        return iter(self._results)

    def __len__(self) -> int:
        """Number of results, clean included."""
        return len(self._results)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{label}={result.accuracy:.4f}" for label, result in self.items())
        more = f", corruptions={self.corruptions!r}" if len(self.corruptions) else ""
        more += f", certificates={list(self.certificates.values())!r}" if self.certificates else ""
        return f"{type(self).__name__}(n={len(self.labels)}, K={self.nb_classes}, {numbers}{more})"

    @property
    def labels(self) -> IntArray:
        """(n,) true classes."""
        return next(iter(self._results.values())).labels

    @property
    def nb_classes(self) -> int:
        """K."""
        return next(iter(self._results.values())).nb_classes

    @property
    def class_names(self) -> Sequence[str] | None:
        """K names, or None."""
        return next(iter(self._results.values())).class_names

    def by_group(self, result: str | AttackResult, attribute: str | None = None) -> GroupedResult:
        """One result by group, and by class within each group.

        Args:
            result: a label; or a result of the same samples, such as ``worst_case()`` or one of :attr:`corruptions`.
            attribute: its name; may be left out where there is one alone.

        Raises:
            KeyError: no such label or attribute.
            ValueError: no attribute, several and none is named, or a result of other samples.
        """
        if attribute is None and len(self.groups) != 1:
            raise ValueError(f"name one attribute of the samples: there are {list(self.groups) or 'none'}")
        name = next(iter(self.groups)) if attribute is None else attribute
        if name not in self.groups:
            raise KeyError(f"no attribute {name!r}; {did_you_mean(name, self.groups)}")
        found = self[result] if isinstance(result, str) else result
        if not np.array_equal(found.labels, self.labels):
            raise ValueError(f"{found.label!r} is of other samples than the groups by {name!r}")
        return GroupedResult(found, self.groups[name])

    @property
    def combined(self) -> tuple[str, ...]:
        """Labels that :meth:`worst_case` combines: clean data and the attacks of one budget, the same norm and eps.

        Attacks of another budget, or without a budget, such as ``spatial``, are left out, as one number cannot be about two
        budgets. With several budgets, it is the one that most attacks use; on a tie, the first. A single attack is always
        included. If there are several attacks and no two share a budget, the result is empty.
        """
        budgets = {label: result.budget for label, result in self.items() if label != CLEAN}
        if len(budgets) < 2:
            return tuple(self)
        shared = [[label for label, its in budgets.items() if one.is_same(its)] for one in budgets.values() if one is not None]
        most = max(shared, key=len, default=[])
        return tuple(label for label in self if label == CLEAN or label in most) if len(most) > 1 else ()

    def worst_case(self, labels: Sequence[str] | None = None) -> AttackResult:
        """A sample counts as right only if it is right on clean data and under every attack of one budget.

        Args:
            labels: the results to combine, whatever their budgets; by default those of :attr:`combined`.

        Returns:
            A result whose prediction is that of the first attack that fooled the sample.

        Raises:
            KeyError: an unknown label.
            ValueError: no label, or none by default as no two attacks share a budget.
        """
        chosen = list(self.combined if labels is None else labels)
        if not chosen and labels is None:
            raise ValueError("no two attacks have the same norm and eps; name those that worst_case is to combine")
        if not chosen:
            raise ValueError("worst_case combines at least one result, got none")
        first = self[chosen[0]]
        predictions = first.predictions.copy()
        scored = [self[label].confidences for label in chosen]
        confidences = None if any(column is None for column in scored) else np.copy(first.confidences)  # type: ignore[arg-type]
        for label in chosen[1:]:
            standing, other = predictions == self.labels, self[label]
            predictions[standing] = other.predictions[standing]
            if confidences is not None and other.confidences is not None:
                # If both examples leave a sample right, the less confident prediction counts.
                lower = standing & (~other.correct | (other.confidences < confidences))
                confidences[lower] = other.confidences[lower]
        return AttackResult(
            label="worst-case",
            labels=self.labels,
            predictions=predictions,
            nb_classes=self.nb_classes,
            config={"attack": "worst-case", "over": chosen},
            class_names=self.class_names,
            confidences=confidences,
        )


def _by_label(certificates: Sequence[CertificateResult], first: AttackResult) -> dict[str, CertificateResult]:
    found: dict[str, CertificateResult] = {}
    for one in certificates:
        if one.label in found:
            raise ValueError(f"two certificates are labelled {one.label!r}")
        if one.nb_classes != first.nb_classes or not np.array_equal(one.labels, first.labels):
            raise ValueError(f"a certificate is of the samples of the evaluation: {one.label!r} has other labels")
        found[one.label] = one
    return found


def _defences(defences: Sequence[DefenceResult], first: AttackResult) -> dict[str, DefenceResult]:
    found = {one.label: one for one in defences}
    if len(found) < len(defences):
        raise ValueError(f"two defences have one label: {', '.join(one.label for one in defences)}")
    for one in defences:
        if one.clean.nb_classes != first.nb_classes or not np.array_equal(one.clean.labels, first.labels):
            raise ValueError(f"a defence is of the samples of the evaluation: {one.label!r} has other labels")
    return found
