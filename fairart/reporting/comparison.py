"""Methods side by side: overall, worst class and every class under every attack, spread over seeds, and paired tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing import (
    PairedTest,
    check_same_samples,
    mcnemar,
    paired_t,
    sign_flip_p_value,
    worst_class_difference,
)
from fairart.evaluation.results.flags import failed_checks
from fairart.notebooks import data_frame
from fairart.reporting.certified import certificate_means
from fairart.reporting.comparable import WORST_CASE, corruption_notices, corruption_sets, results_of
from fairart.reporting.comparison_data import Cell, ComparisonData, Contrast, CorruptionMeans
from fairart.reporting.comparison_text import render_html
from fairart.reporting.outliers import ood_cells, ood_notices
from fairart.reporting.run_results import Run, group_methods, paired

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["WORST_CASE", "Cell", "Comparison", "Contrast", "CorruptionMeans", "compare_runs"]


class Comparison(ComparisonData):
    """The result of :func:`compare_runs`; see :class:`~fairart.reporting.comparison_data.ComparisonData` for its fields."""

    def _repr_html_(self) -> str:
        """The tables for notebooks, with the notes folded up."""
        return render_html(self)

    def to_frame(self) -> DataFrame:
        """A pandas data frame with one row a method, attack and class.

        Columns: ``method``, ``attack``, ``class`` (index), ``name``, ``n`` (test samples), ``seeds``, ``accuracy`` in [0, 1]
        (mean over seeds; NaN if the class is absent), ``std`` (sample standard deviation over seeds; NaN for one seed),
        ``worst`` (whether it is the lowest class), ``doubtful`` (whether a sanity check of the numbers failed).

        Raises:
            ImportError: pandas is not installed (``pip install "fairart[pandas]"``).
        """
        columns = ("method", "attack", "class", "name", "n", "seeds", "accuracy", "std", "worst", "doubtful")
        rows = []
        for (method, attack), cell in self.cells.items():
            for index, (name, spread) in enumerate(zip(self.classes, cell.classes, strict=True)):
                counts = self.support[index], len(cell.results), spread.mean, spread.std
                marks = index == cell.worst_class, (method, attack) in self.failed
                rows.append(dict(zip(columns, (method, attack, index, name, *counts, *marks), strict=True)))
        return data_frame(rows, columns)


def compare_runs(runs: Sequence[Run], *, attacks: Sequence[str] | None = None) -> Comparison:
    """Compare evaluated runs. Runs that differ only in the seed are one method.

    Args:
        runs: in the order of the methods in the tables. The others are compared with the first run's method. Runs that were
            not evaluated are left out.
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
    # Named among all runs, so that a method has the same name everywhere.
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
        failed={key: detail for key in cells if (detail := _failed(methods[key[0]], key[1], table))},
        notices=(*results.notices(shown), *corruption_notices(evaluated), *ood_notices(evaluated)),
        outliers={} if attacks is not None else ood_cells(methods),
        certificates={} if attacks is not None else certificate_means(methods),
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
    """Limit the interval to [-1, 1], the range of a difference of shares; Student's interval may exceed it."""
    low, high = test.interval
    return replace(test, interval=(max(-1.0, low), min(1.0, high)) if not math.isnan(low) else test.interval)
