"""Accuracies from a confusion matrix: of all samples, of each class, of the worst class."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy", "class_accuracy", "one_vs_rest_accuracy", "worst_class_accuracy"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def accuracy(counts: IntArray) -> float:
    """Share of all samples on the diagonal; NaN when there is none.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    total = counts.sum()
    return float(np.trace(counts) / total) if total else math.nan


def class_accuracy(counts: IntArray) -> FloatArray:
    """Recall of each class, (K,) in [0, 1]: correct samples of class k / samples of class k.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    support = counts.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates: FloatArray = np.where(support > 0, np.diag(counts) / support, np.nan)
    return rates


def one_vs_rest_accuracy(counts: IntArray) -> FloatArray:
    """One-vs-rest accuracy of each class, (K,): (TP + TN) / all samples (FAIR-TAT, Eq. 7 as printed).

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    total = counts.sum()
    if not total:
        return np.full(len(counts), np.nan)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    rates: FloatArray = 1.0 - wrong / total
    return np.where(counts.sum(axis=1) > 0, rates, np.nan)


def worst_class_accuracy(counts: IntArray, fraction: float | None = None) -> float:
    """Accuracy of the worst class, or the mean over the worst share of the classes.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
        fraction: None for the single worst class; 0.1 for the mean over the worst tenth (the CIFAR-100 protocol), at least
            one class. In (0, 1].

    Returns:
        Accuracy in [0, 1], absent classes left out; NaN when there is no sample at all.

    Raises:
        ValueError: ``fraction`` outside (0, 1].
    """
    rates = class_accuracy(counts)
    present = np.sort(rates[~np.isnan(rates)])
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction!r}")
    if not len(present):
        return math.nan
    # Rounding up keeps a tenth of 10 classes at one class and of 15 at two; the slack forgives 0.1 * 30 > 3 in floats.
    number = 1 if fraction is None else max(1, math.ceil(fraction * len(present) - 1e-9))
    return float(present[:number].mean())
