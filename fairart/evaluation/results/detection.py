"""How well a score tells test images from outliers. Larger scores mean more in-distribution; test images are the positives."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.intervals import checked_level

__all__ = ["KEPT", "auroc", "auroc_interval", "average_precision", "false_positive_rate", "threshold_at"]

FloatArray = npt.NDArray[np.float64]

KEPT = 0.95
"""Share of the test images that the threshold keeps: the 95 % of "FPR at 95 % TPR"."""


def auroc(inliers: FloatArray, outliers: FloatArray) -> float:
    """Probability that a test image has a larger score than an outlier, ties counted half (Mann-Whitney).

    Args:
        inliers: (m,) scores of test images.
        outliers: (n,) scores of outliers.

    Returns:
        In [0, 1]; NaN if one of the two is empty.
    """
    if not len(inliers) or not len(outliers):
        return math.nan
    ordered = np.sort(outliers)
    below = np.searchsorted(ordered, inliers, side="left").sum(dtype=np.float64)
    up_to = np.searchsorted(ordered, inliers, side="right").sum(dtype=np.float64)
    return float((below + up_to) / 2 / len(inliers) / len(outliers))


def auroc_interval(areas: npt.ArrayLike, inliers: npt.ArrayLike, outliers: npt.ArrayLike, *, level: float = 0.95) -> FloatArray:
    """Score interval of an AUROC, sound for few samples and for areas of 0 and 1.

    The ends solve |A - t| = z sqrt(V(t)) with the variance of Hanley and McNeil for exponential scores (Newcombe, Statistics in
    Medicine 25, 2006, method 5).

    Args:
        areas: (...) AUROC in [0, 1], or NaN.
        inliers: (...) numbers m of test images.
        outliers: (...) numbers n of outliers.
        level: confidence level in (0, 1).

    Returns:
        (..., 2) lower and upper end; NaN where the area is.

    Raises:
        ValueError: ``level`` outside (0, 1).
    """
    z = NormalDist().inv_cdf(0.5 + checked_level(level) / 2)
    found, m, n = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (areas, inliers, outliers)))
    pairs, others = np.maximum(m * n, 1.0), (m + n) / 2 - 1

    def variance(area: FloatArray) -> FloatArray:
        spread: FloatArray = area * (1 - area) / pairs * (1 + others * (1 - area) / (2 - area) + others * area / (1 + area))
        return spread

    def end(far: float) -> FloatArray:
        # Bisection: the distance is 0 at the area itself, and beyond z standard deviations at the far end, where V is 0.
        inside, outside = found.copy(), np.full(found.shape, far)
        for _ in range(60):
            middle = (inside + outside) / 2
            near = np.abs(found - middle) <= z * np.sqrt(variance(middle))
            inside, outside = np.where(near, middle, inside), np.where(near, outside, middle)
        reached: FloatArray = inside
        return reached

    ends: FloatArray = np.stack([end(0.0), end(1.0)], axis=-1)
    ends[np.isnan(found)] = np.nan
    return np.asarray(ends, dtype=np.float64)


def average_precision(positives: FloatArray, negatives: FloatArray) -> float:
    """Area under the precision-recall curve without interpolation, sum of (R_i - R_{i-1}) P_i over the thresholds.

    Args:
        positives: (m,) scores of what is to be found, larger ones first.
        negatives: (n,) scores of the rest.

    Returns:
        In (0, 1]; NaN if one of the two is empty. Scores that say nothing have m / (m + n).
    """
    if not len(positives) or not len(negatives):
        return math.nan
    scores = np.concatenate([positives, negatives])
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(order < len(positives), dtype=np.float64)
    # One threshold a value: equal scores are found together.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / len(positives)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def threshold_at(inliers: FloatArray, *, share: float = KEPT) -> float:
    """The largest threshold that keeps at least a share of the test images, those with scores >= it.

    Args:
        inliers: (m,) scores of test images.
        share: in (0, 1].

    Returns:
        One of the scores; NaN if there are none.
    """
    if not len(inliers):
        return math.nan
    # A hair less: 0.95 * 20 in floating point may be above 19.
    kept = max(1, math.ceil(share * len(inliers) - 1e-9))
    return float(np.sort(inliers)[len(inliers) - kept])


def false_positive_rate(inliers: FloatArray, outliers: FloatArray, *, share: float = KEPT) -> float:
    """Share of the outliers that a threshold lets pass which keeps a share of the test images: FPR at 95 % TPR.

    Args:
        inliers: (m,) scores of test images.
        outliers: (n,) scores of outliers.
        share: of the test images that are kept, in (0, 1].

    Returns:
        In [0, 1]; NaN if one of the two is empty.
    """
    if not len(inliers) or not len(outliers):
        return math.nan
    return float(np.mean(outliers >= threshold_at(inliers, share=share)))
