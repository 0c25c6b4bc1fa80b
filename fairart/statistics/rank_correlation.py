"""Do several models rank the classes alike: Spearman's rank correlation between every two of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.statistics.by_value import ComparedByValue
from fairart.statistics.levels import checked_level

__all__ = ["RankCorrelation", "rank_correlation"]

FloatArray = npt.NDArray[np.float64]

SAME = 12
"""Decimals to which scores are compared: means over seeds of equal shares may differ in the last bit, and are ties."""

CHUNK = 4_000_000
"""Numbers that are resampled at once."""


@dataclass(frozen=True, eq=False)
class RankCorrelation(ComparedByValue):
    """The result of :func:`rank_correlation`.

    Args:
        mean: over all pairs of models; NaN for one model, or if no pair has a correlation.
        interval: lower and upper end, by bootstrap over the classes; NaN if ``mean`` is.
        level: of the interval.
        nb_models: M.
        nb_classes: classes that it is over.
        pairs: (M, M) correlations; NaN where one of the two scores is the same for every class.
    """

    mean: float
    interval: tuple[float, float]
    level: float
    nb_models: int
    nb_classes: int
    pairs: FloatArray = field(repr=False)

    @property
    def of_pairs(self) -> FloatArray:
        """The M (M - 1) / 2 correlations, each pair once."""
        found: FloatArray = self.pairs[np.triu_indices(self.nb_models, 1)]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN stays NaN."""
        return {
            "mean": self.mean,
            "interval": list(self.interval),
            "level": self.level,
            "models": self.nb_models,
            "classes": self.nb_classes,
            "pairs": self.pairs.tolist(),
        }


def rank_correlation(scores: npt.ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation of the classes' scores between every two models, and its mean over the pairs.

    The interval is a percentile bootstrap over the classes, drawn with replacement, the same draw for every model. Few classes
    make it wide, and its level is then approximate only. It is about which classes were looked at; the models are taken as
    given. If all models rank the classes the same, every draw gives 1, and the interval has no width.

    Args:
        scores: (M, K), a row for each model. Classes that are NaN in any row are left out.
        level: of the interval, in (0, 1).
        resamples: number of draws.
        seed: of the draws.

    Raises:
        ValueError: scores that are not a table, or a level outside (0, 1).
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"scores must be (models, classes), got shape {table.shape}")
    checked_level(level)
    table = np.round(table[:, ~np.isnan(table).any(axis=0)], SAME)
    nb_models, nb_classes = table.shape
    pairs = _correlations(table[:, None])[0]
    mean = float(_means(pairs[None])[0])
    ends = (math.nan, math.nan) if math.isnan(mean) else _bootstrap(table, level, resamples, seed)
    return RankCorrelation(mean, ends, level, nb_models, nb_classes, pairs)


def _correlations(tables: FloatArray) -> FloatArray:
    """(M, B, K) scores -> (B, M, M) correlations of their ranks; ties share the mean of their ranks."""
    from scipy.stats import rankdata

    if tables.shape[-1] < 2:
        return np.full((tables.shape[1], len(tables), len(tables)), np.nan)
    ranks = rankdata(tables, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    with np.errstate(invalid="ignore"):
        unit = ranks / lengths
    found: FloatArray = np.clip(np.einsum("mbk,nbk->bmn", unit, unit), -1.0, 1.0)
    return found


def _means(correlations: FloatArray) -> FloatArray:
    """(B, M, M) -> (B,) means over the pairs that have a correlation."""
    rows, columns = np.triu_indices(correlations.shape[-1], 1)
    values = correlations[:, rows, columns]
    seen = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: FloatArray = np.where(seen, values, 0.0).sum(axis=1) / seen.sum(axis=1)
    return means


def _bootstrap(table: FloatArray, level: float, resamples: int, seed: int) -> tuple[float, float]:
    draws = np.random.default_rng(seed).integers(0, table.shape[1], (resamples, table.shape[1]))
    step = max(1, CHUNK // table.size)
    means = np.concatenate([_means(_correlations(table[:, draws[at : at + step]])) for at in range(0, resamples, step)])
    # A draw of one class alone has no ranks.
    low, high = np.quantile(means[~np.isnan(means)], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
