"""The class false positive score (CFPS) and the class false negative score (CFNS) of FAIR-TAT."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["class_false_negative_score", "class_false_positive_score"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _errors(counts: IntArray) -> IntArray:
    errors: IntArray = counts.copy()
    np.fill_diagonal(errors, 0)
    return errors


def class_false_positive_score(counts: IntArray) -> FloatArray:
    """CFPS, (K,): samples of other classes predicted as k / all misclassified samples (FAIR-TAT, Eq. 8).

    Sums to 1; uniform 1 / K when nothing is misclassified.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    return _shares(_errors(counts).sum(axis=0))


def class_false_negative_score(counts: IntArray) -> FloatArray:
    """CFNS, (K,): misclassified samples of class k / all misclassified samples; uniform when there is none.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    return _shares(_errors(counts).sum(axis=1))


def _shares(parts: IntArray) -> FloatArray:
    total = parts.sum()
    shares: FloatArray = parts / total if total else np.full(len(parts), 1.0 / len(parts))
    return shares
