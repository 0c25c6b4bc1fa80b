"""Confidence intervals of shares."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from fairart.statistics.levels import checked_level

__all__ = ["checked_level", "clopper_pearson_lower", "clopper_pearson_upper", "newcombe_interval", "wilson_interval"]

FloatArray = npt.NDArray[np.float64]


def wilson_interval(correct: npt.ArrayLike, total: npt.ArrayLike, *, level: float = 0.95) -> FloatArray:
    """Wilson's score interval of a share (Wilson, 1927), which is sound for few samples and for shares near 0 and 1.

    Args:
        correct: counts of successes, any shape (...).
        total: counts of trials, same shape.
        level: confidence level in (0, 1).

    Returns:
        (..., 2) lower and upper end in [0, 1]; NaN for entries without trials.

    Raises:
        ValueError: ``level`` outside (0, 1), or counts not within 0 <= correct <= total.
    """
    checked_level(level)
    hits, trials = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if (hits < 0).any() or (hits > trials).any():
        raise ValueError("expected counts with 0 <= correct <= total")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / trials
        scale = 1 + z**2 / trials
        centre = (share + z**2 / (2 * trials)) / scale
        half = z / scale * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    ends: FloatArray = np.stack([centre - half, centre + half], axis=-1)
    return np.clip(ends, 0.0, 1.0)


def newcombe_interval(
    first: npt.ArrayLike, first_total: npt.ArrayLike, second: npt.ArrayLike, second_total: npt.ArrayLike, *, level: float = 0.95
) -> FloatArray:
    """Interval of the difference of two independent shares, first less second (Newcombe, Statistics in Medicine 1998, method 10).

    It is made of the two Wilson intervals, and is sound for few samples and for shares of 0 and 1.

    Args:
        first: successes of the first, any shape (...).
        first_total: trials of the first.
        second: successes of the second.
        second_total: trials of the second.
        level: confidence level in (0, 1).

    Returns:
        (..., 2) lower and upper end in [-1, 1]; NaN for entries without trials.

    Raises:
        ValueError: as :func:`wilson_interval`.
    """
    ends = wilson_interval(first, first_total, level=level), wilson_interval(second, second_total, level=level)
    pairs = ((first, first_total), (second, second_total))
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (np.asarray(hits, dtype=np.float64) / np.asarray(trials, dtype=np.float64) for hits, trials in pairs)
    lower = one - other - np.hypot(one - ends[0][..., 0], ends[1][..., 1] - other)
    upper = one - other + np.hypot(ends[0][..., 1] - one, other - ends[1][..., 0])
    return np.stack([lower, upper], axis=-1)


def clopper_pearson_lower(correct: npt.ArrayLike, total: npt.ArrayLike, *, error: float) -> FloatArray:
    """Exact one-sided lower bound of a share (Clopper & Pearson, Biometrika 1934).

    Args:
        correct: counts of successes, any shape (...), 0 <= correct <= total.
        total: counts of trials, same shape.
        error: largest probability that the bound is above the share, in (0, 1).

    Returns:
        (...) bounds in [0, 1]; 0 for entries without successes.
    """
    hits, trials = np.broadcast_arrays(np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64))
    # Where there is no success the beta distribution has no first parameter; the bound is 0.
    found = betaincinv(np.maximum(hits, 1), trials - np.maximum(hits, 1) + 1, error)
    bounds: FloatArray = np.where(hits > 0, found, 0.0)
    return bounds


def clopper_pearson_upper(correct: npt.ArrayLike, total: npt.ArrayLike, *, error: float) -> FloatArray:
    """Exact one-sided upper bound of a share; see :func:`clopper_pearson_lower`.

    Args:
        correct: counts of successes, any shape (...), 0 <= correct <= total.
        total: counts of trials, same shape.
        error: largest probability that the bound is below the share, in (0, 1).

    Returns:
        (...) bounds in [0, 1]; 1 for entries without failures.
    """
    return 1.0 - clopper_pearson_lower(np.asarray(total) - np.asarray(correct), total, error=error)
