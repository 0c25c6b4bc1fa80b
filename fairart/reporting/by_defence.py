"""Methods side by side behind input defences, naively and by BPDA: spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.flags import failed_checks
from fairart.evaluation.results.outcome import AttackResult
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["KINDS", "ByDefence", "DefenceCell", "by_defence"]

KINDS = ("clean", "undefended", "naive", "bpda", "both")
"""What is measured behind a defence, and without it, under one attack."""


@dataclass(frozen=True)
class DefenceCell:
    """One method behind one defence under one attack.

    Args:
        defences: one a seed.
        attacks: the same attack behind them.
        doubtful: whether the sanity check of a seed's naive number failed.
    """

    defences: tuple[DefenceResult, ...]
    attacks: tuple[DefendedAttack, ...]
    doubtful: bool

    def results(self, kind: str) -> list[AttackResult]:
        """One result a seed.

        Args:
            kind: one of :data:`KINDS`; ``"clean"`` is behind the defence.
        """
        if kind == "clean":
            return [one.clean for one in self.defences]
        return [getattr(one, kind) for one in self.attacks]

    def overall(self, kind: str) -> Spread:
        """Accuracy over all samples."""
        return Spread.of([result.accuracy for result in self.results(kind)])

    def worst(self, kind: str) -> Spread:
        """Accuracy of each seed's own worst class."""
        return Spread.of([result.worst_class_accuracy() for result in self.results(kind)])

    def classes(self, kind: str) -> tuple[Spread, ...]:
        """Accuracy of each class."""
        return tuple(Spread.of(column) for column in np.array([result.class_accuracy for result in self.results(kind)]).T)

    @property
    def illusion(self) -> Spread:
        """Naive less BPDA accuracy."""
        return Spread.of([one.illusion.difference for one in self.attacks])

    @property
    def illusion_of_classes(self) -> tuple[Spread, ...]:
        """(K,) the same of each class."""
        return tuple(Spread.of(column) for column in np.array([one.class_illusion for one in self.attacks]).T)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers for JSON; shares in [0, 1]."""
        return {
            **{
                kind: {
                    "overall": self.overall(kind).to_dict(),
                    "worst_class": self.worst(kind).to_dict(),
                    "classes": dict(zip(names, (spread.to_dict() for spread in self.classes(kind)), strict=True)),
                }
                for kind in KINDS
            },
            "illusion": self.illusion.to_dict(),
            "illusion_of_classes": dict(zip(names, (one.to_dict() for one in self.illusion_of_classes), strict=True)),
            "naive_is_doubtful": self.doubtful,
        }


@dataclass(frozen=True)
class ByDefence:
    """One defence under one attack.

    Args:
        name: label of the defence, with the options in which methods differ.
        attack: label of the attack.
        stand_in: what stands in for the defence in the gradient.
        cells: method -> numbers.
    """

    name: str
    attack: str
    stand_in: str
    cells: Mapping[str, DefenceCell]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and text for JSON."""
        return {
            "defence": self.name,
            "attack": self.attack,
            "stand_in": self.stand_in,
            "methods": {method: cell.to_dict(names) for method, cell in self.cells.items()},
        }


def by_defence(methods: Mapping[str, Sequence[Run]]) -> tuple[ByDefence, ...]:
    """Every defence and attack that all runs of a method have, with the same options of the defence.

    A defence that methods have with different options stands there once for each.

    Args:
        methods: label -> its evaluated runs.
    """
    every: dict[tuple[str, str, str], dict[str, DefenceCell]] = {}
    options: dict[tuple[str, str, str], dict[str, Any]] = {}
    stand_ins: dict[tuple[str, str, str], str] = {}
    for method, runs in methods.items():
        for label, found in _shared(runs).items():
            own = _options(found[0])
            for attack in (one.attack for one in found[0].attacks):
                if not all(any(other.attack == attack for other in one.attacks) for one in found):
                    continue
                key = label, attack, repr(sorted(own.items()))
                options[key], stand_ins[key] = own, str(canonical(found[0].config).get("stand_in", ""))
                pairs = tuple(one[attack] for one in found)
                every.setdefault(key, {})[method] = DefenceCell(tuple(found), pairs, _doubtful(runs, pairs))
    return tuple(ByDefence(_name(key, options), key[1], stand_ins[key], cells) for key, cells in every.items())


def _shared(runs: Sequence[Run]) -> dict[str, list[DefenceResult]]:
    """Label -> results, for the defences that all runs have with the same options."""
    every = [run.result.defences if run.result is not None else {} for run in runs]
    found = {}
    for label in every[0] if every else ():
        results = [one[label] for one in every if label in one]
        if len(results) == len(runs) and all(_options(one) == _options(results[0]) for one in results):
            found[label] = results
    return found


def _options(found: DefenceResult) -> dict[str, Any]:
    config: dict[str, Any] = canonical(found.config)
    return {"defence": config.get("defence"), **config.get("options", {})}


def _doubtful(runs: Sequence[Run], pairs: Sequence[DefendedAttack]) -> bool:
    return any(
        run.result is not None and bool(failed_checks(one.naive, run.result.checks)) for run, one in zip(runs, pairs, strict=True)
    )


def _name(key: tuple[str, str, str], options: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> str:
    label, attack, _ = key
    own = options[key]
    others = [one for other, one in options.items() if other[:2] == (label, attack)]
    differing = [name for name in own if any(one.get(name) != own[name] for one in others)]
    return f"{label} ({', '.join(f'{name}={own[name]!r}' for name in differing)})" if differing else label
