"""Sets of runs that differ in one factor alone, and what each shows; ``benchmarks/factors.py`` says it in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from factor_study.runs import FACTORS, Run, Setting, said
from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing.redrawing import DRAWS, redraw_seeds
from fairart.reporting.kinds.measures import Means, Redraws
from fairart.statistics import MeanInterval, RankAgreement, mean_interval, rank_agreement, rank_correlation

__all__ = ["Comparison", "Value", "comparisons", "figures", "ranks"]

FloatArray = npt.NDArray[np.float64]

WHERE = ("training", "data set", "architecture")
"""Factors that conclusions are drawn for one by one."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """The runs of one value of a factor, one a seed.

    Args:
        name: the value, such as ``"sgd lr 0.1"``.
        runs: in the order of their seeds.
    """

    name: str
    runs: tuple[Run, ...]

    def classes(self, attack: str) -> FloatArray:
        """(seeds, K) accuracy of each class."""
        return np.stack([run.results[attack].class_accuracy for run in self.runs])

    def spread(self, attack: str) -> FloatArray:
        """(seeds,) standard deviation of the class accuracies of each run."""
        found: FloatArray = np.nanstd(self.classes(attack), axis=1)
        return found


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs that differ in one factor.

    Args:
        factor: its name.
        where: training, data set and architecture, where they vary among all runs and are not the factor.
        context: all other factors that are not at their most usual value.
        values: the reference first: the value that most of all runs have.
    """

    factor: str
    where: str
    context: str
    values: tuple[Value, ...]

    @property
    def attacks(self) -> list[str]:
        """Labels that every run has."""
        runs = [run for value in self.values for run in value.runs]
        return [label for label in runs[0].results if all(label in run.results for run in runs)]

    @property
    def same_images(self) -> bool:
        """Whether all runs were evaluated on the same test images, so that their classes can be ranked against each other."""
        first, *others = [next(iter(run.results.values())) for value in self.values for run in value.runs]
        return all(
            np.array_equal(first.labels, one.labels) and list(first.class_names or ()) == list(one.class_names or ())
            for one in others
        )


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """Every set of runs that differ in one factor alone; those of a factor stand together.

    Args:
        runs: finished cells. A value that lacks a seed of the reference is compared with it apart, by the seeds that both have.
    """
    names = list(dict.fromkeys([*FACTORS, *(factor for run in runs for factor in run.settings)]))
    counts = {name: Counter(run.settings.get(name, ()) for run in runs) for name in names}
    varying = [name for name in names if len(counts[name]) > 1]
    found = []
    for factor in varying:
        groups: dict[Any, list[Run]] = {}
        for run in runs:
            others = tuple((name, run.settings.get(name, ())) for name in varying if name != factor)
            groups.setdefault((others, run.plan), []).append(run)
        for (others, _), group in groups.items():
            for values in _values(factor, group, counts[factor]):
                usual = {name: counts[name].most_common(1)[0][0] for name in varying}
                where = ", ".join(said(name, given) for name, given in others if name in WHERE)
                rest = [said(name, given) for name, given in others if name not in WHERE and given != usual[name]]
                found.append(Comparison(factor=factor, where=where, context=", ".join(rest), values=values))
    return found


def _values(factor: str, group: Sequence[Run], usual: Mapping[Setting, int]) -> list[tuple[Value, ...]]:
    """Values of a factor that are compared by the same seeds, the most usual one first; standard training before any other."""
    by_value: dict[Setting, dict[int, Run]] = {}
    for run in group:
        by_value.setdefault(run.settings.get(factor, ()), {})[run.seed] = run
    first, *others = sorted(by_value, key=lambda setting: (("trainer", "standard") not in setting, -usual[setting]))
    # One value whose cells failed must not take the seeds of all others away.
    by_seeds: dict[tuple[int, ...], list[Setting]] = {}
    for one in others:
        by_seeds.setdefault(tuple(sorted(by_value[one].keys() & by_value[first].keys())), []).append(one)
    return [
        tuple(Value(name=said(factor, one), runs=tuple(by_value[one][seed] for seed in seeds)) for one in (first, *alike))
        for seeds, alike in by_seeds.items()
        if seeds
    ]


def figures(comparison: Comparison, attack: str) -> dict[str, Any]:
    """What a comparison shows under one attack; see ``benchmarks/factors.py``.

    Args:
        comparison: of one factor.
        attack: label.
    """
    reference = comparison.values[0].spread(attack)
    values = []
    for value in comparison.values:
        classes, spread = value.classes(attack), value.spread(attack)
        first = value.runs[0].results[attack]
        names = list(first.class_names or map(str, range(first.nb_classes)))
        means = classes.mean(axis=0)
        order = np.argsort(np.where(np.isnan(means), np.inf, means), kind="stable")[:3]
        lowest = Counter(names[run.results[attack].worst_class] for run in value.runs)
        values.append(
            {
                "value": value.name,
                "seeds": [run.seed for run in value.runs],
                "images": len(first.labels),
                "class_names": names,
                "class_accuracy": [_summary(mean_interval(column, limits=(0, 1))) for column in classes.T],
                "average": _summary(mean_interval([run.results[attack].accuracy for run in value.runs], limits=(0, 1))),
                "std": _summary(mean_interval(spread, limits=(0, 0.5))),
                "variance": _summary(mean_interval(spread**2, limits=(0, 0.25))),
                "std_less_reference": _summary(mean_interval(spread - reference)) if value is not comparison.values[0] else None,
                "worst_three": [names[index] for index in order],
                "worst_of_each_seed": dict(lowest),
                "seeds_rank_alike": _plain(rank_correlation(classes).mean),
            }
        )
    agreement = ranks(comparison, attack)
    return {"values": values, "rank_agreement": None if agreement is None else agreement.to_dict()}


def ranks(comparison: Comparison, attack: str, *, draws: int = DRAWS) -> RankAgreement | None:
    """Rank correlations of the classes between every two values, or None where the test images differ.

    Draws re-draw the seeds, the same for every value because runs are paired by seed, and the test images of each class, the same
    for every run. One seed is taken as given.

    Args:
        comparison: of one factor.
        attack: label.
        draws: of seeds and images.
    """
    if not comparison.same_images:
        return None
    scores = np.stack([value.classes(attack).mean(axis=0) for value in comparison.values])
    number = len(comparison.values[0].runs)
    places = redraw_seeds(number, draws=draws) if number > 1 else np.zeros((draws, 1), dtype=np.int64)
    images = Redraws(draws, 0)
    drawn = [np.stack([_drawn(run.results[attack], images) for run in value.runs], axis=1) for value in comparison.values]
    rows = np.arange(draws)[:, None]
    return rank_agreement(scores, np.stack([one[rows, places].mean(axis=1) for one in drawn], axis=1))


def _drawn(result: AttackResult, images: Redraws) -> FloatArray:
    """(draws, K) accuracies of the classes on re-drawn test images."""
    means = Means(result.labels, result.correct.astype(np.float64), result.nb_classes)
    return means.drawn(images.weights(result.labels))


def _summary(found: MeanInterval) -> dict[str, Any]:
    return {"mean": _plain(found.mean), "interval": [_plain(end) for end in found.interval]}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
