"""Methods side by side by group of the samples, such as site or sensor: spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation import AttackResult
from fairart.evaluation.results.groups import GroupedResult, Groups
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["ByGroup", "GroupCell", "by_group"]


@dataclass(frozen=True)
class GroupCell:
    """One method under one attack, by group.

    Args:
        results: one a seed.
        groups: (G,) accuracy of each group.
        worst: accuracy of each seed's own worst group.
        worst_cell: accuracy of each seed's own worst class within a group.
        difference: of each seed, highest less lowest accuracy of a group.
    """

    results: tuple[GroupedResult, ...]
    groups: tuple[Spread, ...]
    worst: Spread
    worst_cell: Spread
    difference: Spread

    @classmethod
    def of(cls, results: Sequence[GroupedResult]) -> GroupCell:
        """Summarise the results of one method, one a seed."""
        rates = np.array([result.accuracy for result in results])
        return cls(
            results=tuple(results),
            groups=tuple(Spread.of(column) for column in rates.T),
            worst=Spread.of(np.nanmin(rates, axis=1)),
            worst_cell=Spread.of([result.class_accuracy[result.worst_cell] for result in results]),
            difference=Spread.of([result.gaps.difference for result in results]),
        )

    @property
    def worst_group(self) -> int:
        """Index of the group with the lowest mean accuracy."""
        return int(np.nanargmin([spread.mean for spread in self.groups]))

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers for JSON; shares in [0, 1]."""
        return {
            "groups": dict(zip(names, (spread.to_dict() for spread in self.groups), strict=True)),
            "worst_group": self.worst.to_dict(),
            "worst_class_in_a_group": self.worst_cell.to_dict(),
            "difference": self.difference.to_dict(),
        }


@dataclass(frozen=True)
class ByGroup:
    """One attribute of the samples.

    Args:
        groups: the attribute, the same in all methods here.
        cells: (method, attack) -> numbers.
        left_out: methods that were evaluated without it, or with other groups.
    """

    groups: Groups
    cells: Mapping[tuple[str, str], GroupCell]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON."""
        names = self.groups.names
        accuracy: dict[str, dict[str, Any]] = {}
        for (method, attack), cell in self.cells.items():
            accuracy.setdefault(method, {})[attack] = cell.to_dict(names)
        support = dict(zip(names, self.groups.counts.tolist(), strict=True))
        return {"name": self.groups.name, "support": support, "accuracy": accuracy, "left_out": list(self.left_out)}


def by_group(
    methods: Mapping[str, Sequence[Run]], results: Mapping[tuple[str, str], Sequence[AttackResult]]
) -> tuple[ByGroup, ...]:
    """Every attribute that a run was evaluated with.

    Args:
        methods: label -> its evaluated runs.
        results: (method, attack) -> results of the method's runs, in their order.
    """
    attributes: dict[str, Groups] = {}
    for runs in methods.values():
        for run in runs:
            attributes = {**_groups(run), **attributes}
    found = []
    for name, groups in attributes.items():
        same = {label for label, runs in methods.items() if all(_is_same(_groups(run).get(name), groups) for run in runs)}
        cells = {
            key: GroupCell.of([GroupedResult(result, groups) for result in several])
            for key, several in results.items()
            if key[0] in same
        }
        if cells:
            found.append(ByGroup(groups, cells, tuple(label for label in methods if label not in same)))
    return tuple(found)


def _groups(run: Run) -> Mapping[str, Groups]:
    return {} if run.result is None else run.result.groups


def _is_same(one: Groups | None, other: Groups) -> bool:
    return one is not None and one.names == other.names and np.array_equal(one.index, other.index)
