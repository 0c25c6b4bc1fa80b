"""The numbers of a comparison: methods under attacks, their differences, and what makes them doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing.common import PairedTest
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.reporting.by_defence import ByDefence, by_defence
from fairart.reporting.by_group import ByGroup, by_group
from fairart.reporting.by_shift import ByShift, by_shift
from fairart.reporting.certified import CertificateMeans
from fairart.reporting.kinds import ByKind, by_kind, measured_kinds
from fairart.reporting.left_behind import LeftBehind, left_behind
from fairart.reporting.outliers import OodCell, OodKey
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["Cell", "ComparisonData", "Contrast", "CorruptionMeans"]


@dataclass(frozen=True)
class Cell:
    """One method under one attack.

    Args:
        results: one a seed.
        overall: accuracy over all samples.
        worst: accuracy of each seed's own worst class.
        classes: accuracy of each class.
    """

    results: tuple[AttackResult, ...]
    overall: Spread
    worst: Spread
    classes: tuple[Spread, ...]

    @classmethod
    def of(cls, results: Sequence[AttackResult]) -> Cell:
        """Summarise the results of one method, one a seed."""
        rates = np.array([result.class_accuracy for result in results])
        return cls(
            results=tuple(results),
            overall=Spread.of([result.accuracy for result in results]),
            worst=Spread.of([result.worst_class_accuracy() for result in results]),
            classes=tuple(Spread.of(column) for column in rates.T),
        )

    @property
    def worst_class(self) -> int:
        """Index of the class with the lowest mean accuracy."""
        return int(np.nanargmin([spread.mean for spread in self.classes]))

    @property
    def worst_probability(self) -> float:
        """Probability that it is the worst class of a seed, mean over seeds."""
        return float(np.mean([result.worst_class_probability[self.worst_class] for result in self.results]))


@dataclass(frozen=True)
class CorruptionMeans:
    """One method over all corruptions and severities.

    Args:
        overall: mean accuracy.
        worst: mean of the accuracy of each one's own worst class.
        label: of the set of corruptions, such as ``"15 corruptions x 5"``; methods with one label compare.
    """

    overall: Spread
    worst: Spread
    label: str

    @classmethod
    def of(cls, results: Sequence[CorruptionResults], label: str) -> CorruptionMeans:
        """Summarise the corruptions of one method, one a seed."""
        return cls(
            overall=Spread.of([result.mean_accuracy() for result in results]),
            worst=Spread.of([result.mean_worst_class_accuracy() for result in results]),
            label=label,
        )


@dataclass(frozen=True)
class Contrast:
    """A method less the first one, under one attack.

    Args:
        overall: test of the accuracy; None if the runs cannot be paired.
        worst: test of the worst class's accuracy.
        sign_flip: p-values of the permutation test over seeds, overall and worst class; None for a single pair.
        note: which runs were paired, if not all, or why none.
    """

    overall: PairedTest | None
    worst: PairedTest | None
    sign_flip: tuple[float, float] | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "overall": None if self.overall is None else self.overall.to_dict(),
            "worst": None if self.worst is None else self.worst.to_dict(),
            "sign_flip_p_values": None
            if self.sign_flip is None
            else dict(zip(("overall", "worst"), self.sign_flip, strict=True)),
            "note": self.note,
        }


@dataclass(frozen=True)
class ComparisonData:
    """The numbers of a comparison; :class:`fairart.reporting.comparison.Comparison` can also print itself.

    Args:
        methods: label -> its evaluated runs; the others are compared with the first.
        attacks: labels in the order in which they ran, ``"clean"`` first.
        classes: K names.
        support: test samples of each class.
        cells: (method, attack) -> numbers; missing if the method was not evaluated under the attack.
        contrasts: (method, attack) -> tests, for all but the first method.
        corruptions: method -> means over its corruptions, for methods whose runs all have the same ones.
        failed: (method, attack) -> messages of the failed sanity checks of its numbers.
        notices: reasons why numbers do not compare, one sentence each.
        certificates: (method, label) -> numbers of a certificate, see :mod:`fairart.reporting.certified`.
        outliers: (set, score, attacked) -> method -> how well the score tells the test images from the outliers.
    """

    methods: Mapping[str, Sequence[Run]]
    attacks: tuple[str, ...]
    classes: tuple[str, ...]
    support: tuple[int, ...]
    cells: Mapping[tuple[str, str], Cell]
    contrasts: Mapping[tuple[str, str], Contrast]
    corruptions: Mapping[str, CorruptionMeans]
    failed: Mapping[tuple[str, str], Sequence[str]]
    notices: tuple[str, ...]
    certificates: Mapping[tuple[str, str], CertificateMeans] = field(default_factory=dict)
    outliers: Mapping[OodKey, Mapping[str, OodCell]] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return next(iter(self.methods))

    @cached_property
    def by_group(self) -> tuple[ByGroup, ...]:
        """The same by each attribute of the samples that runs were evaluated with; see :mod:`fairart.reporting.by_group`."""
        return by_group(self.methods, {key: cell.results for key, cell in self.cells.items()})

    @cached_property
    def by_shift(self) -> tuple[ByShift, ...]:
        """Every shifted test set that runs were evaluated on; see :mod:`fairart.reporting.by_shift`."""
        return by_shift(self.methods)

    @cached_property
    def by_defence(self) -> tuple[ByDefence, ...]:
        """Every input defence that runs were evaluated behind; see :mod:`fairart.reporting.by_defence`."""
        return by_defence(self.methods)

    @cached_property
    def by_kind(self) -> ByKind | None:
        """Every class under every kind of robustness; None for fewer than three kinds. See :mod:`fairart.reporting.kinds`."""
        return by_kind(
            measured_kinds(
                self.methods,
                self.attacks,
                {key: cell.results for key, cell in self.cells.items()},
                corruptions=bool(self.corruptions),
                certificates=self.certificates,
                outliers=self.outliers,
                shifts=self.by_shift,
            )
        )

    def left_behind(self, attack: str) -> LeftBehind | None:
        """The classes that every method leaves behind; None for one method. See :mod:`fairart.reporting.left_behind`.

        Args:
            attack: its label.
        """
        return left_behind(
            {
                label: [spread.mean for spread in cell.classes]
                for label in self.methods
                if (cell := self.cells.get((label, attack))) is not None
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text, for JSON; shares in [0, 1]."""
        return {
            "baseline": self.baseline,
            "methods": {label: [run.name for run in runs] for label, runs in self.methods.items()},
            "attacks": list(self.attacks),
            "support": dict(zip(self.classes, self.support, strict=True)),
            "accuracy": {
                label: {
                    attack: {
                        "overall": cell.overall.to_dict(),
                        "worst_class": cell.worst.to_dict(),
                        "classes": dict(zip(self.classes, (spread.to_dict() for spread in cell.classes), strict=True)),
                        "failed_checks": list(self.failed.get((label, attack), ())),
                    }
                    for attack in self.attacks
                    if (cell := self.cells.get((label, attack))) is not None
                }
                for label in self.methods
            },
            "corruptions": {
                label: {"of": means.label, "overall": means.overall.to_dict(), "worst_class": means.worst.to_dict()}
                for label, means in self.corruptions.items()
            },
            **(
                {
                    "certificates": {
                        label: {
                            name: means.to_dict(self.classes) for (of, name), means in self.certificates.items() if of == label
                        }
                        for label in self.methods
                    }
                }
                if self.certificates
                else {}
            ),
            "outliers": [
                {
                    **dict(zip(("set", "score", "attacked"), key, strict=True)),
                    "methods": {label: cell.to_dict(self.classes) for label, cell in cells.items()},
                }
                for key, cells in self.outliers.items()
            ],
            "differences": {
                label: {attack: found.to_dict() for attack in self.attacks if (found := self.contrasts.get((label, attack)))}
                for label in self.methods
                if label != self.baseline
            },
            "left_behind": {
                attack: left.to_dict(self.classes) for attack in self.attacks if (left := self.left_behind(attack)) is not None
            },
            "groups": [found.to_dict() for found in self.by_group],
            "shifts": [found.to_dict(self.classes) for found in self.by_shift],
            **({"defences": [found.to_dict(self.classes) for found in self.by_defence]} if self.by_defence else {}),
            **({} if self.by_kind is None else {"kinds": self.by_kind.to_dict(self.classes)}),
            "notices": list(self.notices),
        }
