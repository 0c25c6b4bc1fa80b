"""How sure the worst class is: a bootstrap over the test samples, stratified by class.

Samples are drawn again within each class, so class sizes stay as they are. Of a class with n samples, c of them right, such a
draw holds Binomial(n, c / n) right ones: binomials are drawn instead of samples, which gives the same distribution at the
cost of K numbers a draw.

A class that is all right or all wrong never varies under a bootstrap, however few samples it has. Read the results beside
the class sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "resampled_rates", "worst_class_interval", "worst_class_probability"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RESAMPLES = 10_000
"""Draws by default: a probability is known to within 0.01 (two standard errors)."""

_AT_ONCE = 1 << 20  # numbers drawn at a time: 8 MiB, whatever the number of classes


def resampled_rates(correct: IntArray, total: IntArray, *, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Class accuracies of bootstrap samples, a block of draws at a time.

    Args:
        correct: (K,) right samples of each class.
        total: (K,) samples of each class, all >= 1.
        resamples: draws in all.
        seed: of the draws.

    Yields:
        (draws, K) accuracies.
    """
    generator = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // len(total))
    for first in range(0, resamples, block):
        size = (min(block, resamples - first), len(total))
        yield generator.binomial(total, correct / total, size=size) / total


def worst_class_probability(
    correct: npt.ArrayLike, total: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> FloatArray:
    """The probability that each class is the worst one: the share of bootstrap samples in which its accuracy is the lowest.

    Classes that tie for the lowest accuracy of a draw share it.

    Args:
        correct: (K,) right samples of each class.
        total: (K,) samples of each class.
        resamples: bootstrap samples, >= 1.
        seed: of the draws, >= 0.

    Returns:
        (K,) probabilities that sum to 1; NaN for classes without samples.

    Raises:
        ValueError: counts that are none, no sample at all, or bad options.
    """
    right, number, present = _check(correct, total, resamples, seed)
    shares = np.zeros(int(present.sum()))
    for rates in resampled_rates(right, number, resamples=resamples, seed=seed):
        # Equal fractions are equal floats, as division rounds correctly: 1 / 3 is 2 / 6.
        lowest = rates == rates.min(axis=1, keepdims=True)
        shares += (lowest / lowest.sum(axis=1, keepdims=True)).sum(axis=0)
    probability = np.full(len(present), np.nan)
    probability[present] = shares / resamples
    return probability


def worst_class_interval(
    correct: npt.ArrayLike, total: npt.ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> FloatArray:
    """Percentile bootstrap interval of the accuracy of the worst class, whichever class that is in each draw.

    It leans down. The lowest of K measured accuracies is below the lowest true one on average, since it picks the unluckiest
    class, and the lowest of K resampled ones is below that again. So the interval may reach lower than the truth warrants,
    most where several classes are close and small; its lower end is on the safe side.

    Args:
        correct: (K,) right samples of each class.
        total: (K,) samples of each class; classes without any are left out.
        level: confidence level in (0, 1).
        resamples: bootstrap samples, >= 1.
        seed: of the draws, >= 0.

    Returns:
        (2,) lower and upper end in [0, 1].

    Raises:
        ValueError: counts that are none, no sample at all, or bad options.
    """
    right, number, _ = _check(correct, total, resamples, seed)
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    lowest = [rates.min(axis=1) for rates in resampled_rates(right, number, resamples=resamples, seed=seed)]
    ends: FloatArray = np.quantile(np.concatenate(lowest), [(1 - level) / 2, (1 + level) / 2])
    return ends


def _check(
    correct: npt.ArrayLike, total: npt.ArrayLike, resamples: int, seed: int
) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Counts of the present classes, and (K,) which those are."""
    right, number = np.asarray(correct), np.asarray(total)
    if right.ndim != 1 or right.shape != number.shape or right.dtype.kind not in "iu" or number.dtype.kind not in "iu":
        raise ValueError("expected whole counts of one shape (K,), right samples and all samples of each class")
    if (right < 0).any() or (right > number).any():
        raise ValueError("expected counts with 0 <= correct <= total")
    for name, value, low in (("resamples", resamples, 1), ("seed", seed, 0)):
        _check_whole(name, value, low)
    present = number > 0
    if not present.any():
        raise ValueError("without a sample there is no worst class")
    return right[present].astype(np.int64), number[present].astype(np.int64), present


def _check_whole(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")
