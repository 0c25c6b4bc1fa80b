"""Methods side by side: overall, worst class and every class under every attack, spread over seeds, and paired tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.compare import (
    PairedTest,
    check_same_samples,
    mcnemar,
    paired_t,
    sign_flip_p_value,
    worst_class_difference,
)
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.flags import failed_checks
from fairart.reporting.comparable import WORST_CASE, corruption_notices, corruption_sets, results_of
from fairart.reporting.run_results import Run, group_methods, paired
from fairart.reporting.tables import Spread

__all__ = ["WORST_CASE", "Cell", "Comparison", "Contrast", "CorruptionMeans", "compare_runs"]


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
        """Sum up the results of one method, one a seed."""
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
        """Sum up the corruptions of one method, one a seed."""
        return cls(
            overall=Spread.of([result.mean_accuracy() for result in results]),
            worst=Spread.of([result.mean_worst_class_accuracy() for result in results]),
            label=label,
        )


@dataclass(frozen=True)
class Contrast:
    """A method less the first one, under one attack.

    Args:
        overall: test of the accuracy; None where the runs cannot be paired.
        worst: test of the worst class's accuracy.
        sign_flip: p-values of the permutation test over seeds, overall and worst class; None for a single pair.
        note: which runs were paired, where that needs saying, or why none.
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
class Comparison:
    """What :func:`compare_runs` found.

    Args:
        methods: label -> its evaluated runs; the others are compared with the first.
        attacks: labels in the order in which they ran, ``"clean"`` first.
        classes: K names.
        support: test samples of each class.
        cells: (method, attack) -> numbers; missing where the method was not attacked so.
        contrasts: (method, attack) -> tests, for all but the first method.
        corruptions: method -> means over its corruptions; of methods of which every run has the same ones.
        failed: (method, attack) -> what the failed sanity checks of its numbers say.
        notices: what makes numbers hard to compare, one sentence each.
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

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return next(iter(self.methods))

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
            "differences": {
                label: {attack: found.to_dict() for attack in self.attacks if (found := self.contrasts.get((label, attack)))}
                for label in self.methods
                if label != self.baseline
            },
            "notices": list(self.notices),
        }


def compare_runs(runs: Sequence[Run], *, attacks: Sequence[str] | None = None) -> Comparison:
    """Compare evaluated runs; those that differ in nothing but the seed are one method.

    Args:
        runs: in the order in which methods shall stand; the first one's method is what the others are compared with. Runs that
            were not evaluated are left out.
        attacks: labels to show, in order; by default all, and the worst case of the attacks of one budget if every run had
            the same ones. An attack that runs had with different options has a label for each.

    Raises:
        ValueError: no evaluated run, runs of other samples, two of one method and seed, or an attack that no run has.
    """
    evaluated = [run for run in runs if run.result is not None]
    if not evaluated:
        raise ValueError("a comparison needs at least one run that was evaluated")
    first = evaluated[0].result
    assert first is not None
    for run in evaluated[1:]:
        check_same_samples(_clean(run), _clean(evaluated[0]), names=(run.name, evaluated[0].name))
    # Named among all runs, so that a method is called the same wherever it appears.
    methods = {
        label: [run for run in group if run.result is not None]
        for label, group in group_methods(runs).items()
        if any(run.result is not None for run in group)
    }
    results = results_of(evaluated)
    table, shown = results.table, results.shown(attacks)
    cells = {
        (label, attack): Cell.of([table[run.name][attack] for run in group])
        for label, group in methods.items()
        for attack in shown
        if all(attack in table[run.name] for run in group)
    }
    return Comparison(
        methods=methods,
        attacks=shown,
        classes=tuple(first.class_names or map(str, range(first.nb_classes))),
        support=tuple(map(int, _clean(evaluated[0]).confusion.support)),
        cells=cells,
        contrasts=_contrasts(methods, shown, table),
        corruptions={} if attacks is not None else _corruptions(methods),
        failed={key: told for key in cells if (told := _failed(methods[key[0]], key[1], table))},
        notices=(*results.notices(shown), *corruption_notices(evaluated)),
    )


def _corruptions(methods: Mapping[str, Sequence[Run]]) -> dict[str, CorruptionMeans]:
    return {method: CorruptionMeans.of(found, label) for method, (label, found) in corruption_sets(methods).items()}


def _failed(runs: Sequence[Run], attack: str, table: Mapping[str, Mapping[str, AttackResult]]) -> list[str]:
    return [
        f"{check.name}: {check.detail} ({run.name})"
        for run in runs
        for check in failed_checks(table[run.name][attack], run.result.checks if run.result is not None else ())
    ]


def _clean(run: Run) -> AttackResult:
    assert run.result is not None
    return next(iter(run.result.values()))


def _contrasts(
    methods: Mapping[str, Sequence[Run]], attacks: Sequence[str], table: Mapping[str, Mapping[str, AttackResult]]
) -> dict[tuple[str, str], Contrast]:
    (_, base), *others = methods.items()
    found = {}
    for label, group in others:
        pairs, note = paired(group, base)
        for attack in attacks:
            if all(attack in table[run.name] for run in (*group, *base)):
                found[label, attack] = _contrast([(table[a.name][attack], table[b.name][attack]) for a, b in pairs], note)
    return found


def _contrast(pairs: Sequence[tuple[AttackResult, AttackResult]], note: str) -> Contrast:
    if not pairs:
        return Contrast(None, None, note=note)
    if len(pairs) == 1:
        return Contrast(mcnemar(*pairs[0]), worst_class_difference(*pairs[0]), note=note)
    overall = np.array([[result.accuracy for result in pair] for pair in pairs]).T
    worst = np.array([[result.worst_class_accuracy() for result in pair] for pair in pairs]).T
    flips = sign_flip_p_value(*overall), sign_flip_p_value(*worst)
    return Contrast(_bounded(paired_t(*overall)), _bounded(paired_t(*worst)), flips, note)


def _bounded(test: PairedTest) -> PairedTest:
    """Student's interval of two seeds may reach beyond what a difference of shares can be."""
    low, high = test.interval
    return replace(test, interval=(max(-1.0, low), min(1.0, high)) if not math.isnan(low) else test.interval)
