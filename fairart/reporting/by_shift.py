"""Methods side by side on shifted test sets: spread over seeds, and the line from clean to shifted accuracy over methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.line import Line, fitted_line, probit
from fairart.evaluation.results.shift_results import Drop
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["ByShift", "ShiftCell", "by_shift"]


@dataclass(frozen=True)
class ShiftCell:
    """One method on one shifted test set.

    Args:
        drops: clean and shifted result, one a seed.
        overall: accuracy over all samples of the shifted set.
        worst: accuracy of each seed's own worst class on it.
        lost: clean less shifted accuracy.
        relative: share of the clean accuracy that is lost.
        classes: (K,) accuracy of each class on the shifted set.
        lost_of_classes: (K,) clean less shifted accuracy of each class.
    """

    drops: tuple[Drop, ...]
    overall: Spread
    worst: Spread
    lost: Spread
    relative: Spread
    classes: tuple[Spread, ...]
    lost_of_classes: tuple[Spread, ...]

    @classmethod
    def of(cls, drops: Sequence[Drop]) -> ShiftCell:
        """Summarise the results of one method, one a seed."""
        return cls(
            drops=tuple(drops),
            overall=Spread.of([drop.shifted.accuracy for drop in drops]),
            worst=Spread.of([drop.shifted.worst_class_accuracy() for drop in drops]),
            lost=Spread.of([drop.overall for drop in drops]),
            relative=Spread.of([drop.relative for drop in drops]),
            classes=tuple(Spread.of(column) for column in np.array([drop.shifted.class_accuracy for drop in drops]).T),
            lost_of_classes=tuple(Spread.of(column) for column in np.array([drop.of_classes for drop in drops]).T),
        )

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers for JSON; shares in [0, 1]."""
        return {
            "overall": self.overall.to_dict(),
            "worst_class": self.worst.to_dict(),
            "lost": self.lost.to_dict(),
            "relative": self.relative.to_dict(),
            "classes": dict(zip(names, (spread.to_dict() for spread in self.classes), strict=True)),
            "lost_of_classes": dict(zip(names, (spread.to_dict() for spread in self.lost_of_classes), strict=True)),
        }


@dataclass(frozen=True)
class ByShift:
    """One shifted test set.

    Args:
        name: of the set.
        support: (K,) samples of each class.
        cells: method -> numbers.
        line: from clean to shifted accuracy over the methods, each with the samples of all its seeds; None for fewer than three.
        left_out: methods that were evaluated without it, or on other samples of that name.
    """

    name: str
    support: tuple[int, ...]
    cells: Mapping[str, ShiftCell]
    line: Line | None
    left_out: tuple[str, ...]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and text for JSON."""
        return {
            "name": self.name,
            "support": dict(zip(names, self.support, strict=True)),
            "accuracy": {method: cell.to_dict(names) for method, cell in self.cells.items()},
            "line_over_methods": None if self.line is None else self.line.to_dict(),
            "left_out": list(self.left_out),
        }


def by_shift(methods: Mapping[str, Sequence[Run]]) -> tuple[ByShift, ...]:
    """Every shifted test set that a run was evaluated on.

    Args:
        methods: label -> its evaluated runs.
    """
    first: dict[str, AttackResult] = {}
    for runs in methods.values():
        for run in runs:
            first = {**(run.result.shifts if run.result is not None else {}), **first}
    found = []
    for name, reference in first.items():
        cells = {}
        for label, runs in methods.items():
            drops = [_drop(run, name, reference) for run in runs]
            if all(drop is not None for drop in drops):
                cells[label] = ShiftCell.of([drop for drop in drops if drop is not None])
        left = tuple(label for label in methods if label not in cells)
        found.append(ByShift(name, tuple(map(int, reference.confusion.support)), cells, _line(cells), left))
    return tuple(found)


def _drop(run: Run, name: str, reference: AttackResult) -> Drop | None:
    if run.result is None or name not in run.result.shifts:
        return None
    shifted = run.result.shifts[name]
    same = np.array_equal(shifted.labels, reference.labels)
    return Drop(next(iter(run.result.values())), shifted) if same else None


def _line(cells: Mapping[str, ShiftCell]) -> Line | None:
    def counts(part: str) -> Any:
        results = [[getattr(drop, part) for drop in cell.drops] for cell in cells.values()]
        right = [sum(int(result.correct.sum()) for result in seeds) for seeds in results]
        return probit(right, [sum(len(result.labels) for result in seeds) for seeds in results])

    return fitted_line(counts("clean"), counts("shifted"))
