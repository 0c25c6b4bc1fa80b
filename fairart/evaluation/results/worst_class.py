"""The accuracy of the worst class, with an exact interval, and the probability that each class is the worst.

The estimand is W = min over classes k of p_k, where p_k is the true accuracy of class k: the accuracy on all data of the kind
that the test samples of the class were drawn from. Classes without test samples are left out.

The lowest measured accuracy is a biased estimate of W, as it picks the class with the worst luck. The interval takes the
selection into account and holds for any number of samples, one included:

- Lower end: the lowest of the classes' lower bounds. It is above W only if the bound of the truly worst class is, so no
  correction for the number of classes is needed.
- Upper end: the lowest of the classes' upper bounds. One bound that fails in any class is enough to make it too low, so the
  bounds hold in all classes at once (Sidak, 1967; the classes' samples are independent).

All bounds are exact (Clopper & Pearson, 1934), so the coverage is at least the level. The price is width: with few samples of
many classes the interval is wide.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.intervals import checked_level, clopper_pearson_lower, clopper_pearson_upper

__all__ = ["DRAWS", "lower_bound", "upper_bound", "worst_class_interval", "worst_class_probability"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRAWS = 10_000
"""Draws by default: a probability is known to within 0.01 (two standard errors)."""

_AT_ONCE = 1 << 20  # numbers drawn at a time: 8 MiB, whatever the number of classes


def lower_bound(correct: npt.ArrayLike, total: npt.ArrayLike, *, error: float) -> FloatArray:
    """Exact one-sided lower bound of the worst class's accuracy.

    Args:
        correct: (..., K) right samples of each class.
        total: (..., K) or (K,) samples of each class, all >= 1.
        error: largest probability that the bound is too high, in (0, 1).

    Returns:
        (...) bounds in [0, 1].
    """
    lowest: FloatArray = clopper_pearson_lower(correct, total, error=error).min(axis=-1)
    return lowest


def upper_bound(correct: npt.ArrayLike, total: npt.ArrayLike, *, error: float) -> FloatArray:
    """Exact one-sided upper bound of the worst class's accuracy.

    Args:
        correct: (..., K) right samples of each class.
        total: (..., K) or (K,) samples of each class, all >= 1.
        error: largest probability that the bound is too low, in (0, 1).

    Returns:
        (...) bounds in [0, 1].
    """
    of_each = -math.expm1(math.log1p(-error) / np.shape(correct)[-1])  # 1 - (1 - error)^(1 / K), without rounding to 0
    lowest: FloatArray = clopper_pearson_upper(correct, total, error=of_each).min(axis=-1)
    return lowest


def worst_class_interval(correct: npt.ArrayLike, total: npt.ArrayLike, *, level: float = 0.95) -> FloatArray:
    """Exact confidence interval of the accuracy of the worst class, whichever class that is.

    Args:
        correct: (K,) right samples of each class.
        total: (K,) samples of each class; classes without samples are left out.
        level: confidence level in (0, 1). The coverage is at least this.

    Returns:
        (2,) lower and upper end in [0, 1]. The lowest measured accuracy lies between them.

    Raises:
        ValueError: counts that are not whole numbers with 0 <= correct <= total, no sample at all, or a bad level.
    """
    right, number, _ = _checked(correct, total)
    error = (1 - checked_level(level)) / 2
    return np.array([lower_bound(right, number, error=error), upper_bound(right, number, error=error)])


def worst_class_probability(correct: npt.ArrayLike, total: npt.ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """The probability that each class is the worst one, given the measured counts.

    The true accuracy of a class with c of n samples right is taken as Beta(c + 1/2, n - c + 1/2): the posterior with
    Jeffreys' prior. Unlike a bootstrap it leaves room for chance in a class that is all right or all wrong.

    Args:
        correct: (K,) right samples of each class.
        total: (K,) samples of each class.
        draws: number of random draws, >= 1.
        seed: of the draws, >= 0.

    Returns:
        (K,) probabilities that sum to 1; NaN for classes without samples.

    Raises:
        ValueError: counts that are not whole numbers with 0 <= correct <= total, no sample at all, or bad options.
    """
    right, number, present = _checked(correct, total)
    for name, value, low in (("draws", draws, 1), ("seed", seed, 0)):
        _check_whole(name, value, low)
    generator = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // len(right))
    wins = np.zeros(len(right), dtype=np.int64)
    for first in range(0, draws, block):
        rates = generator.beta(right + 0.5, number - right + 0.5, size=(min(block, draws - first), len(right)))
        wins += np.bincount(rates.argmin(axis=1), minlength=len(right))
    probability = np.full(len(present), np.nan)
    probability[present] = wins / draws
    return probability


def _checked(correct: npt.ArrayLike, total: npt.ArrayLike) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Counts of the classes that have samples, and (K,) which those are."""
    right, number = np.asarray(correct), np.asarray(total)
    if right.ndim != 1 or right.shape != number.shape or right.dtype.kind not in "iu" or number.dtype.kind not in "iu":
        raise ValueError("expected whole counts of one shape (K,), right samples and all samples of each class")
    if (right < 0).any() or (right > number).any():
        raise ValueError("expected counts with 0 <= correct <= total")
    present = number > 0
    if not present.any():
        raise ValueError("without a sample there is no worst class")
    return right[present].astype(np.int64), number[present].astype(np.int64), present


def _check_whole(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")
