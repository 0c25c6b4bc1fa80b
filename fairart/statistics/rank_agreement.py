"""Do several scores of one model rank its classes alike: Spearman's and Kendall's rank correlation between every two scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.statistics.levels import checked_level

__all__ = ["RankAgreement", "kendall", "mean_agreement", "rank_agreement", "spearman"]

FloatArray = npt.NDArray[np.float64]

SAME = 12
"""Decimals to which scores are compared: means of equal shares may differ in the last bit, and are ties."""

CHUNK = 4_000_000
"""Numbers that are compared at once."""


@dataclass(frozen=True, eq=False)
class RankAgreement:
    """The rank correlations between S scores of the same classes.

    Args:
        spearman: (S, S) Spearman's rho; NaN where a score is the same for every class, or fewer than two classes have both.
        kendall: (S, S) Kendall's tau-b.
        spearman_draws: (R, S, S) the same of every draw of the test samples.
        kendall_draws: (R, S, S).
        level: of the intervals.
    """

    spearman: FloatArray
    kendall: FloatArray
    spearman_draws: FloatArray
    kendall_draws: FloatArray
    level: float

    @property
    def spearman_intervals(self) -> FloatArray:
        """(S, S, 2) ends of the percentile interval, widened where needed so that it holds the estimate; NaN without draws."""
        return _intervals(self.spearman, self.spearman_draws, self.level)

    @property
    def kendall_intervals(self) -> FloatArray:
        """(S, S, 2), the same for Kendall's tau-b."""
        return _intervals(self.kendall, self.kendall_draws, self.level)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON; NaN is None."""
        names = ("spearman", "spearman_intervals", "kendall", "kendall_intervals")
        return {"level": self.level, **{name: _plain(getattr(self, name)) for name in names}}


def rank_agreement(scores: npt.ArrayLike, draws: npt.ArrayLike, *, level: float = 0.95) -> RankAgreement:
    """Rank correlations between every two scores, with percentile intervals of draws that the caller made.

    Two scores are compared over the classes that have both. A draw in which one of these classes lost its score is left out.
    New draws add noise to scores that have some already, so correlations of draws lie lower on average: an interval is
    widened to hold its estimate, and is on the careful side below it.

    Args:
        scores: (S, K); NaN for a class without that score.
        draws: (R, S, K) the same scores of R draws of the test samples.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: other shapes, or a level outside (0, 1).
    """
    table, drawn = np.asarray(scores, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if table.ndim != 2 or drawn.ndim != 3 or drawn.shape[1:] != table.shape:
        raise ValueError(f"expected scores (S, K) and draws (R, S, K), got {table.shape} and {drawn.shape}")
    checked_level(level)
    number = len(table)
    every = np.concatenate([table[None], drawn])
    rho, tau = np.full((2, len(every), number, number), np.nan)
    known = ~np.isnan(table)
    for first in range(number):
        for second in range(first, number):
            both = known[first] & known[second]
            pair = every[:, first, both], every[:, second, both]
            rho[:, first, second] = rho[:, second, first] = spearman(*pair)
            tau[:, first, second] = tau[:, second, first] = kendall(*pair)
    return RankAgreement(rho[0], tau[0], rho[1:], tau[1:], level)


def mean_agreement(found: list[RankAgreement]) -> RankAgreement:
    """The mean over several models, draw by draw: all must be of the same draws. Pairs that a model lacks are left out.

    Args:
        found: one a model, at least one.
    """
    names = ("spearman", "kendall", "spearman_draws", "kendall_draws")
    parts = {name: _nanmean(np.stack([getattr(one, name) for one in found])) for name in names}
    return RankAgreement(**parts, level=found[0].level)


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """(R,) Spearman's rho of (R, K) rows; NaN where a row has NaN, is constant, or K is below 2. Ties share their mean rank."""
    from scipy.stats import rankdata

    one, other = _rounded(first), _rounded(second)
    if one.shape[-1] < 2:
        return np.full(len(one), np.nan)
    ranks = [rankdata(rows, axis=-1) - (rows.shape[-1] + 1) / 2 for rows in (one, other)]
    lengths = [np.sqrt((rows**2).sum(axis=-1)) for rows in ranks]
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = np.clip((ranks[0] * ranks[1]).sum(axis=-1) / (lengths[0] * lengths[1]), -1.0, 1.0)
    return np.where(np.isnan(one).any(axis=-1) | np.isnan(other).any(axis=-1), np.nan, found)


def kendall(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """(R,) Kendall's tau-b of (R, K) rows; NaN as for :func:`spearman`."""
    one, other = _rounded(first), _rounded(second)
    if one.shape[-1] < 2:
        return np.full(len(one), np.nan)
    left, right = np.triu_indices(one.shape[-1], 1)
    step = max(1, CHUNK // len(left))
    parts = []
    for at in range(0, len(one), step):
        signs = [np.sign(rows[at : at + step, left] - rows[at : at + step, right]) for rows in (one, other)]
        untied = [np.abs(rows).sum(axis=-1) for rows in signs]
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append((signs[0] * signs[1]).sum(axis=-1) / np.sqrt(untied[0] * untied[1]))
    found: FloatArray = np.clip(np.concatenate(parts), -1.0, 1.0)
    return found


def _rounded(rows: npt.ArrayLike) -> FloatArray:
    rounded: FloatArray = np.asarray(rows, dtype=np.float64).round(SAME)
    return rounded


def _nanmean(table: FloatArray) -> FloatArray:
    seen = ~np.isnan(table)
    counts = seen.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means: FloatArray = np.where(seen, table, 0.0).sum(axis=0) / counts
    return means


def _intervals(estimate: FloatArray, draws: FloatArray, level: float) -> FloatArray:
    ends = np.full((*estimate.shape, 2), np.nan)
    for place, value in np.ndenumerate(estimate):
        own = draws[:, place[0], place[1]]
        own = own[~np.isnan(own)]
        if len(own) and not math.isnan(value):
            low, high = np.quantile(own, [(1 - level) / 2, (1 + level) / 2])
            ends[place] = min(low, value), max(high, value)
    return ends


def _plain(values: FloatArray) -> Any:
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
