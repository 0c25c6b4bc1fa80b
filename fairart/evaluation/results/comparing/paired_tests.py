"""Paired tests between two methods that were evaluated on the same samples.

With one result each, :func:`mcnemar` tests the accuracy and :func:`worst_class_difference` the worst class. They test whether
these two *classifiers* differ on data of this kind. With several seeds each, :func:`paired_t` and :func:`sign_flip_p_value` test
whether the two *methods* differ on these test samples if training is repeated. A difference is the first result minus the
second. No p-value is corrected for the number of tests.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from fairart.evaluation.results.comparing.common import PairedTest, check_same_samples
from fairart.evaluation.results.comparing.worst_class_difference import worst_class_difference
from fairart.evaluation.results.intervals import checked_level

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = [
    "PairedTest",
    "check_same_samples",
    "mcnemar",
    "mcnemar_counts",
    "paired_t",
    "sign_flip_p_value",
    "worst_class_difference",
]

FloatArray = npt.NDArray[np.float64]

_EXACT_UP_TO = 16  # pairs up to which all 2^n sign patterns are tried; above, _FLIPS random ones
_FLIPS = 100_000
_ALIKE = 1e-12  # accuracies are shares of counts: a smaller difference is a rounding error


def mcnemar(first: AttackResult, second: AttackResult, *, level: float = 0.95) -> PairedTest:
    """Exact McNemar test of two results on the same samples.

    Args:
        first: a result.
        second: another, of the same samples.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ValueError: other samples, or a bad level.
    """
    check_same_samples(first, second)
    one, other = first.correct, second.correct
    return mcnemar_counts(int((one & ~other).sum()), int((other & ~one).sum()), len(one), level=level)


def mcnemar_counts(only_first: int, only_second: int, total: int, *, level: float = 0.95) -> PairedTest:
    """Exact McNemar test (McNemar, Psychometrika 1947).

    If two classifiers are equally good, each sample that only one of them gets right is equally likely to be of either.

    The interval is Wald's with half a sample added to each cell of the 2 x 2 table (Agresti & Min, Biometrics 2005), which
    keeps its level for few samples, unlike Wald's own interval.

    Args:
        only_first: samples that only the first gets right.
        only_second: samples that only the second gets right.
        total: all samples, >= 1.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ValueError: impossible counts, or a bad level.
    """
    if min(only_first, only_second) < 0 or total < max(1, only_first + only_second):
        raise ValueError("expected counts >= 0 with only_first + only_second <= total")
    z = NormalDist().inv_cdf(0.5 + checked_level(level) / 2)
    number = total + 2
    centre = (only_first - only_second) / number
    half = z * math.sqrt(max(0.0, (only_first + only_second + 1) / number - centre**2) / number)
    return PairedTest(
        test="mcnemar-exact",
        difference=(only_first - only_second) / total,
        interval=(max(-1.0, centre - half), min(1.0, centre + half)),
        p_value=_two_sided_sign_test(only_first, only_second),
        count=total,
        level=level,
    )


def _two_sided_sign_test(heads: int, tails: int) -> float:
    """P(a split at least this uneven) of fair coins. Whole numbers keep it exact and free of underflow."""
    number, term, tail = heads + tails, 1, 0
    for successes in range(min(heads, tails) + 1):
        tail += term
        term = term * (number - successes) // (successes + 1)
    return min(1.0, 2 * tail / (1 << number))


def paired_t(first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = 0.95) -> PairedTest:
    """Student's t test of paired numbers, such as the accuracies of two methods trained with the same seeds.

    Args:
        first: (n,) numbers, one a seed.
        second: (n,) numbers of the same seeds.
        level: confidence level of the interval of the mean difference, in (0, 1).

    Returns:
        The test. If all differences are the same, their spread is unknown, and interval and p-value are NaN.

    Raises:
        ValueError: other lengths, fewer than two pairs, numbers that are not finite, or a bad level.
    """
    gaps = _differences(first, second)
    checked_level(level)
    number, mean = len(gaps), float(gaps.mean())
    error = float(gaps.std(ddof=1)) / math.sqrt(number)
    low, high, p_value = math.nan, math.nan, math.nan
    if error > _ALIKE:
        half = float(stdtrit(number - 1, 0.5 + level / 2)) * error
        low, high = mean - half, mean + half
        p_value = 2 * float(stdtr(number - 1, -abs(mean) / error))
    return PairedTest("paired-t", mean, (low, high), p_value, number, level)


def sign_flip_p_value(first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0) -> float:
    """Two-sided permutation test of paired numbers (sign flips).

    If the methods are equally good, both signs of a difference are equally likely. The test assumes nothing about the spread, but
    the p-value of n pairs is at least 2 / 2^n: 0.5 for two seeds, 0.06 for five. Up to 16 pairs all sign patterns are tried,
    above that 100 000 random ones.

    Args:
        first: (n,) numbers, one a seed.
        second: (n,) numbers of the same seeds.
        seed: of the random patterns.

    Raises:
        ValueError: other lengths, fewer than two pairs, or numbers that are not finite.
    """
    gaps = _differences(first, second)
    number = len(gaps)
    if number <= _EXACT_UP_TO:
        bits = np.arange(2**number)[:, None] >> np.arange(number) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, size=(_FLIPS, number))
    reached = np.abs((2 * bits - 1) @ gaps) >= abs(gaps.sum()) - _ALIKE
    if number <= _EXACT_UP_TO:
        return float(reached.mean())
    return float((reached.sum() + 1) / (_FLIPS + 1))


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"a paired test needs as many numbers of both methods, got shapes {one.shape} and {other.shape}")
    if len(one) < 2:
        raise ValueError("a test over seeds needs at least two of them")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("a paired test needs finite numbers")
    gaps: FloatArray = one - other
    return gaps
