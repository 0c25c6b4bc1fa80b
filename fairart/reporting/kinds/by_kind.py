"""Numbers of every class under every kind of robustness, mean over seeds, with ranks and rank correlations between kinds.

Runs that differ only in the seed are one method. Its intervals are those of a hierarchical bootstrap: seeds are drawn again (one
fewer than there are, see :func:`redraw_seeds`), and so are the samples of each class, both the same for every kind, and for
every method with as many seeds. So they are about other seeds and other test images of the same classes; of one seed, about other
test images alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.reporting.kinds.measures import Kind, Measure, Redraws
from fairart.reporting.tables import Spread
from fairart.statistics import RankAgreement, mean_agreement, rank_agreement
from fairart.statistics.rank_agreement import spearman

__all__ = ["LEAST_KINDS", "MARKED", "ByKind", "MethodKinds", "by_kind"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEAST_KINDS = 3
"""Kinds that make a picture: clean data and one attack are compared in the tables of classes."""

MARKED = 3
"""Classes that are marked in a column at most; fewer where that is more than a third of them."""

NUMBERS = 20_000_000
"""Numbers that are drawn at most for one set of test samples: more samples or classes get fewer draws."""


@dataclass(frozen=True, eq=False)
class MethodKinds:
    """One method under every kind.

    Args:
        spreads: (S, K) numbers over seeds; mean NaN where a kind was not measured, or a class has no number.
        better: (S,) 1 where higher is better, else -1.
        intervals: (S, K, 2) ends of the percentile interval of each number, over seeds and samples; NaN without a number.
        agreement: rank correlations between kinds, of the means over seeds.
        of_seeds: (seeds, S, S) Spearman's correlations of each seed alone.
    """

    spreads: tuple[tuple[Spread, ...], ...]
    better: FloatArray
    intervals: FloatArray
    agreement: RankAgreement
    of_seeds: FloatArray

    @property
    def means(self) -> FloatArray:
        """(S, K) numbers, mean over seeds."""
        return np.array([[spread.mean for spread in row] for row in self.spreads])

    @property
    def ranks(self) -> FloatArray:
        """(S, K) rank of each class among the classes with a number, 1 for the worst; ties share the lower; NaN without."""
        return self._ranks("min")

    @property
    def marked(self) -> BoolArray:
        """(S, K) whether a class is one of the worst three of its column, or of the worst third where that is fewer.

        A tie across the border is not marked.
        """
        ranks = self._ranks("max")
        most = [min(MARKED, max(1, int(count) // 3)) for count in np.count_nonzero(~np.isnan(ranks), axis=1)]
        found: BoolArray = ranks <= np.array(most)[:, None]
        return found

    def _ranks(self, ties: str) -> FloatArray:
        from scipy.stats import rankdata

        oriented = np.round(self.means * self.better[:, None], 12)
        ranks = np.full(oriented.shape, np.nan)
        for row, values in enumerate(oriented):
            known = ~np.isnan(values)
            ranks[row, known] = rankdata(values[known], method=ties)
        return ranks


@dataclass(frozen=True, eq=False)
class ByKind:
    """The picture.

    Args:
        kinds: S kinds, columns.
        methods: label -> numbers.
        agreement: mean of the correlations over methods.
    """

    kinds: tuple[Kind, ...]
    methods: Mapping[str, MethodKinds]
    agreement: RankAgreement

    @property
    def nb_classes(self) -> int:
        """K."""
        return len(next(iter(self.methods.values())).spreads[0])

    @property
    def times_marked(self) -> npt.NDArray[np.int64]:
        """(K,) in how many columns, over all methods, a class is one of the worst three."""
        times: npt.NDArray[np.int64] = np.sum(
            [found.marked.sum(axis=0) for found in self.methods.values()], axis=0, dtype=np.int64
        )
        return times

    @property
    def order(self) -> list[int]:
        """Classes from the one that is worst on average over kinds and methods, by their mean rank; absent ones last."""
        ranks = np.concatenate([found.ranks for found in self.methods.values()])
        seen = np.count_nonzero(~np.isnan(ranks), axis=0)
        means = np.nansum(ranks, axis=0) / np.maximum(seen, 1)
        return [int(index) for index in np.argsort(np.where(seen > 0, means, np.inf), kind="stable")]

    @property
    def several_seeds(self) -> bool:
        """Whether a method has more than one seed."""
        return any(len(found.of_seeds) > 1 for found in self.methods.values())

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and names for JSON; NaN is None.

        Args:
            names: K names.
        """
        return {
            "kinds": [{"name": kind.name, "about": kind.about, "higher_is_better": kind.higher_is_better} for kind in self.kinds],
            "methods": {label: self._plain(found, names) for label, found in self.methods.items()},
            "mean_agreement": self.agreement.to_dict(),
            "worst_in": dict(zip(names, self.times_marked.tolist(), strict=True)),
        }

    def _plain(self, found: MethodKinds, names: Sequence[str]) -> dict[str, Any]:
        ranks, marked = found.ranks, found.marked
        columns = {}
        for row, kind in enumerate(self.kinds):
            columns[kind.name] = {
                name: {
                    **found.spreads[row][index].to_dict(),
                    "interval": None if np.isnan(found.intervals[row, index]).any() else found.intervals[row, index].tolist(),
                    "rank": None if np.isnan(ranks[row, index]) else int(ranks[row, index]),
                    "worst": bool(marked[row, index]),
                }
                for index, name in enumerate(names)
            }
        seeds = found.of_seeds.astype(object)
        seeds[np.isnan(found.of_seeds)] = None
        return {"classes": columns, "agreement": found.agreement.to_dict(), "spearman_of_seeds": seeds.tolist()}


def by_kind(
    measured: Mapping[str, Mapping[Kind, Sequence[Measure]]], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> ByKind | None:
    """Put kinds side by side.

    Args:
        measured: method -> kind -> one measure a seed; the same number of seeds in each kind of a method.
        resamples: draws of seeds and test samples; fewer where there are very many samples or classes.
        seed: of the draws.
        level: of the intervals.

    Returns:
        None for fewer than three kinds.

    Raises:
        ValueError: kinds of one method with other numbers of seeds.
    """
    kinds = tuple(dict.fromkeys(kind for columns in measured.values() for kind in columns))
    if len(kinds) < LEAST_KINDS:
        return None
    every = [one for columns in measured.values() for several in columns.values() for one in several]
    most, nb_classes = max(len(one.labels) for one in every), len(every[0].scores())
    draws = Redraws(int(np.clip(NUMBERS / max(most, nb_classes**2), 100, resamples)), seed)
    methods = {label: _method(columns, kinds, draws, nb_classes, level) for label, columns in measured.items()}
    return ByKind(kinds, methods, mean_agreement([found.agreement for found in methods.values()]))


def _method(
    columns: Mapping[Kind, Sequence[Measure]], kinds: Sequence[Kind], draws: Redraws, nb_classes: int, level: float
) -> MethodKinds:
    counts = {len(several) for several in columns.values()}
    if len(counts) != 1:
        raise ValueError(f"expected as many seeds in every kind, got {sorted(counts)}")
    seeds = counts.pop()
    scores = np.full((seeds, len(kinds), nb_classes), np.nan)
    drawn = np.full((draws.number, len(kinds), nb_classes), np.nan)
    for row, kind in enumerate(kinds):
        several = columns.get(kind, ())
        if several:
            scores[:, row] = [one.scores() for one in several]
            drawn[:, row] = draws.over_seeds(np.stack([one.drawn(draws.weights(one.labels)) for one in several], axis=1))
    better = np.array([1.0 if kind.higher_is_better else -1.0 for kind in kinds])[:, None]
    # A class counts only where every seed has its number: a mean over other seeds would not compare.
    means = scores.mean(axis=0)
    known = np.where(np.isnan(means), np.nan, scores)
    spreads = tuple(tuple(Spread.of(known[:, row, index]) for index in range(nb_classes)) for row in range(len(kinds)))
    agreement = rank_agreement(means * better, drawn * better, level=level)
    return MethodKinds(spreads, better[:, 0], _intervals(means, drawn, level), agreement, _of_seeds(known * better))


def _intervals(means: FloatArray, drawn: FloatArray, level: float) -> FloatArray:
    """(S, K, 2) percentile intervals of (R, S, K) draws, without those that lack the number, widened to hold the mean."""
    ends = np.full((*means.shape, 2), np.nan)
    for place, mean in np.ndenumerate(means):
        own = drawn[:, place[0], place[1]]
        own = own[~np.isnan(own)]
        if len(own) and not np.isnan(mean):
            low, high = np.quantile(own, [(1 - level) / 2, (1 + level) / 2])
            ends[place] = min(low, mean), max(high, mean)
    return ends


def _of_seeds(scores: FloatArray) -> FloatArray:
    """(seeds, S, K) -> (seeds, S, S) Spearman's correlations."""
    seeds, number, _ = scores.shape
    found = np.full((seeds, number, number), np.nan)
    known = ~np.isnan(scores[0])
    for first in range(number):
        for second in range(number):
            both = known[first] & known[second]
            found[:, first, second] = spearman(scores[:, first, both], scores[:, second, both])
    return found
