"""Exact paired test and interval of the difference of two worst-class accuracies.

The estimand is D = W1 - W2, the difference of the true accuracies of the two worst classes, min_k p1_k - min_k p2_k. The two
minima may be of different classes, and nobody knows of which.

Lower bound of D. Some class k is the worst of the first method. For that class two bounds hold:

- paired: D = p1_k - W2 >= p1_k - p2_k, as W2 is at most p2_k. The two methods saw the same samples of class k, so this is
  McNemar's setting.
- unpaired: D = p1_k - W2 >= (lower bound of p1_k) - (upper bound of W2).

The better of the two bounds D if k is the worst class of the first method. As k is unknown, the bound is the lowest of these
over all classes (an intersection-union test; Berger, Technometrics 1982). A fixed class k is enough for the proof, so only the
upper bound of W2 is corrected for the number of classes. The upper bound of D is minus the lower bound of W2 - W1. The p-value
is the smallest error at which the interval leaves out 0.

Every part is exact, so the test keeps its level and the interval its coverage for any number of samples. It is conservative:
``benchmarks/worst_class.py`` measures rejection, coverage and power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.comparing.common import PairedTest, check_same_samples
from fairart.evaluation.results.intervals import checked_level, clopper_pearson_lower, clopper_pearson_upper
from fairart.evaluation.results.worst_class import upper_bound

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = ["difference_interval", "worst_class_difference"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STEPS = 30  # halvings of the interval of its logarithm: the p-value is exact to one part in 10^7
_SMALLEST = 1e-12


def worst_class_difference(first: AttackResult, second: AttackResult, *, level: float = 0.95) -> PairedTest:
    """Exact paired test of two worst-class accuracies, whichever classes those are.

    Args:
        first: a result.
        second: another, of the same samples.
        level: confidence level of the interval, in (0, 1). Its coverage is at least this.

    Returns:
        The test. Its p-value is below 1 - level exactly if the interval leaves out 0.

    Raises:
        ValueError: other samples, or a bad level.
    """
    check_same_samples(first, second)
    checked_level(level)
    cells = 2 * first.correct.astype(np.int64) + second.correct
    table = np.bincount(4 * first.labels + cells, minlength=4 * first.nb_classes).reshape(-1, 4)
    counts = table[table.sum(axis=1) > 0]
    low, high = difference_interval(counts, error=1 - level)
    return PairedTest(
        test="worst-class-exact",
        difference=first.worst_class_accuracy() - second.worst_class_accuracy(),
        interval=(float(low), float(high)),
        p_value=_p_value(counts),
        count=len(first.labels),
        level=level,
    )


def difference_interval(counts: IntArray, *, error: float) -> FloatArray:
    """Exact confidence interval of the difference of two worst-class accuracies.

    Args:
        counts: (..., K, 4) samples of each class that no method, only the second, only the first, or both get right; every
            class has samples.
        error: largest probability that the interval misses the difference, in (0, 1).

    Returns:
        (..., 2) lower and upper end in [-1, 1].
    """
    low = _lower_bound(counts, error / 2)
    high = -_lower_bound(counts[..., [0, 2, 1, 3]], error / 2)
    return np.stack([low, high], axis=-1)


def _lower_bound(counts: IntArray, error: float) -> FloatArray:
    """(...) lower bounds. Half of the error goes to the sign of the paired difference, a sixth to each of three shares."""
    total, only_second, only_first = counts.sum(axis=-1), counts[..., 1], counts[..., 2]
    first, second = only_first + counts[..., 3], only_second + counts[..., 3]
    paired = _paired_lower_bound(only_first, only_second, total, sign_error=error / 2, share_error=error / 6)
    own = clopper_pearson_lower(first, total, error=error / 6)
    other = upper_bound(second, total, error=error / 6)
    lowest: FloatArray = np.maximum(paired, own - other[..., None]).min(axis=-1)
    return lowest


def _paired_lower_bound(
    only_first: IntArray, only_second: IntArray, total: IntArray, *, sign_error: float, share_error: float
) -> FloatArray:
    """Lower bound of p1 - p2 = s (2 t - 1).

    s is the share of samples on which the methods disagree, t the share of those that only the first gets right. The bound is
    positive exactly if McNemar's one-sided test rejects at ``sign_error``.
    """
    apart = only_first + only_second
    lean = 2 * clopper_pearson_lower(only_first, apart, error=sign_error) - 1
    # A positive difference is smallest for the smallest share of disagreement, a negative one for the largest.
    least, most = (bound(apart, total, error=share_error) for bound in (clopper_pearson_lower, clopper_pearson_upper))
    bounds: FloatArray = np.where(lean > 0, least, most) * lean
    return bounds


def _p_value(counts: IntArray) -> float:
    """The smallest error at which the interval leaves out 0; 1 if there is none."""

    def rejects(error: float) -> bool:
        low, high = difference_interval(counts, error=error)
        return bool(low > 0 or high < 0)

    below, above = np.log(_SMALLEST), 0.0
    if not rejects(1 - 1e-9):
        return 1.0
    for _ in range(_STEPS):
        middle = (below + above) / 2
        below, above = (below, middle) if rejects(float(np.exp(middle))) else (middle, above)
    return float(np.exp(above))
