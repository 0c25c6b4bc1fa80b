"""Fairness metrics: one number of one confusion matrix, registered as kind ``fairness_metric``.

All are shares, not per cent. Classes without samples are left out. A number that is not defined (no samples at all, or a
division by zero) is NaN, because a zero would look like perfect fairness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt

from fairart.plugins.options import Option
from fairart.statistics import ConfusionMatrix

__all__ = [
    "balanced",
    "cfps_max",
    "disparity",
    "gini",
    "head",
    "middle",
    "nsd",
    "rho",
    "std",
    "tail",
    "worst_class",
    "worst_decile",
]

Ddof = Annotated[int, Option("0 for the spread of exactly these classes, 1 for classes seen as a sample", choices=(0, 1))]


def _present(confusion: ConfusionMatrix) -> npt.NDArray[np.float64]:
    return confusion.class_accuracy[confusion.support > 0]


def worst_class(confusion: ConfusionMatrix) -> float:
    """Accuracy of the worst class, in [0, 1]; higher is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
    """
    return confusion.worst_class_accuracy()


def worst_decile(
    confusion: ConfusionMatrix,
    *,
    fraction: Annotated[
        float, Option("share of the classes that counts as worst, rounded up to whole classes", low=0, low_open=True, high=1)
    ] = 0.1,
) -> float:
    """Mean accuracy over the worst tenth of the classes, in [0, 1]; higher is better (the CIFAR-100 protocol).

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        fraction: share of the present classes, in (0, 1], at least one class.
    """
    return confusion.worst_class_accuracy(fraction)


def cfps_max(confusion: ConfusionMatrix) -> float:
    """Largest class false positive score, in [1 / K, 1]; lower is better (FAIR-TAT, Eq. 8).

    An absent class counts here, as samples of other classes can be predicted as it. 1 / K if no sample is misclassified.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
    """
    return float(confusion.cfps.max()) if confusion.total else math.nan


def disparity(confusion: ConfusionMatrix) -> float:
    """Accuracy of the best class less that of the worst, in [0, 1]; lower is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
    """
    rates = _present(confusion)
    return float(rates.max() - rates.min()) if len(rates) else math.nan


def std(confusion: ConfusionMatrix, *, ddof: Ddof = 0) -> float:
    """Standard deviation of the class accuracies; lower is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        ddof: 0 divides by the number of present classes, 1 by one less.
    """
    rates = _present(confusion)
    return float(rates.std(ddof=ddof)) if len(rates) > ddof else math.nan


def nsd(confusion: ConfusionMatrix, *, ddof: Ddof = 0) -> float:
    """Standard deviation of the class accuracies over their mean; lower is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        ddof: as for :func:`std`.
    """
    rates = _present(confusion)
    mean = float(rates.mean()) if len(rates) else 0.0
    return std(confusion, ddof=ddof) / mean if mean > 0 else math.nan


def gini(confusion: ConfusionMatrix) -> float:
    """Gini coefficient of the class accuracies, 0 if all are equal, below 1; lower is better.

    Mean absolute difference of all pairs of classes over twice the mean.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
    """
    rates = np.sort(_present(confusion))
    number, total = len(rates), float(rates.sum())
    if not total > 0:
        return math.nan
    # The sorted form of sum_ij |a_i - a_j| / (2 n^2 mean): n log n instead of n^2.
    ranks = 2 * np.arange(1, number + 1) - number - 1
    return float((ranks * rates).sum() / (number * total))


def rho(
    confusion: ConfusionMatrix,
    *,
    baseline: Annotated[ConfusionMatrix, Option("the result to compare with, on the same test data")],
) -> float:
    """Relative gain of the worst class less the relative loss of the average, against a baseline; higher is better.

    (W - W_base) / W_base - (A_base - A) / A_base, W the worst-class and A the overall accuracy (WAT, Li & Liu, AAAI 2023).
    NaN if the accuracy of the baseline's worst class is zero, as any gain would be infinite.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        baseline: (K, K) counts of the baseline.

    Raises:
        ValueError: the baseline has another number of classes.
    """
    if confusion.nb_classes != baseline.nb_classes:
        raise ValueError(f"rho compares results of one data set: got {confusion.nb_classes} and {baseline.nb_classes} classes")
    worst, average = baseline.worst_class_accuracy(), baseline.accuracy
    if not (worst > 0 and average > 0):
        return math.nan
    gain = (confusion.worst_class_accuracy() - worst) / worst
    return gain - (average - confusion.accuracy) / average


def balanced(confusion: ConfusionMatrix) -> float:
    """Balanced accuracy, the mean accuracy of the classes, in [0, 1]; higher is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
    """
    rates = _present(confusion)
    return float(rates.mean()) if len(rates) else math.nan


TrainingCounts = Annotated[Sequence[int], Option("training images of each class")]


def _third(confusion: ConfusionMatrix, training_counts: Sequence[int], place: int) -> float:
    """Mean accuracy of a third of the classes that have samples, ordered by training images; a remainder is in the middle."""
    counts = np.asarray(training_counts)
    if len(counts) != confusion.nb_classes:
        raise ValueError(f"training_counts must be one number a class, {confusion.nb_classes}, got {len(counts)}")
    present = np.flatnonzero(confusion.support > 0)
    if not len(present):
        return math.nan
    order, third = present[np.argsort(-counts[present], kind="stable")], max(1, len(present) // 3)
    # Two classes have no middle: all of them stand for it.
    thirds = order[:third], order[third:-third] if len(order) > 2 * third else order, order[-third:]
    return float(confusion.class_accuracy[thirds[place]].mean())


def head(confusion: ConfusionMatrix, *, training_counts: TrainingCounts) -> float:
    """Mean accuracy of the third of the classes with the most training images, in [0, 1]; higher is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        training_counts: (K,) training images of each class.
    """
    return _third(confusion, training_counts, 0)


def middle(confusion: ConfusionMatrix, *, training_counts: TrainingCounts) -> float:
    """Mean accuracy of the middle third of the classes by training images, in [0, 1]; higher is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        training_counts: (K,) training images of each class.
    """
    return _third(confusion, training_counts, 1)


def tail(confusion: ConfusionMatrix, *, training_counts: TrainingCounts) -> float:
    """Mean accuracy of the third of the classes with the fewest training images, in [0, 1]; higher is better.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        training_counts: (K,) training images of each class.
    """
    return _third(confusion, training_counts, 2)
