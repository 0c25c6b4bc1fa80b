"""One score on one set of outliers: the usual numbers, overall and for each predicted class."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.detection import (
    auroc,
    auroc_interval,
    average_precision,
    false_positive_rate,
    threshold_at,
)
from fairart.evaluation.results.intervals import wilson_interval

__all__ = ["LEAST", "Detection", "detect"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Scored = tuple[IntArray, FloatArray]
"""Predicted classes and one score of the same images."""

LEAST = 10
"""Test images and outliers that a class must have to be called the worst: below, an AUROC is noise."""


@dataclass(frozen=True, eq=False)
class Detection:
    """How well one score tells test images from outliers. A class is the *predicted* one: outliers have no other.

    Args:
        auroc: probability that a test image has a larger score than an outlier.
        auroc_interval: (2,) 95 % interval.
        aupr_in: area under the precision-recall curve with the test images as positives.
        aupr_out: the same with the outliers as positives. Both depend on how many there are of each.
        fpr: share of the outliers that pass the threshold which keeps 95 % of the test images.
        fpr_interval: (2,) 95 % Wilson interval, for the threshold as it is.
        threshold: that threshold.
        support_in: (K,) test images predicted as each class.
        support_out: (K,) outliers predicted as each class.
        class_auroc: (K,) among the images predicted as the class; NaN where one of the two kinds is missing. So are the others.
        class_auroc_interval: (K, 2).
        class_aupr_in: (K,).
        class_aupr_out: (K,).
        class_fpr: (K,) at a threshold of the class's own, which keeps 95 % of the test images predicted as it.
        class_fpr_interval: (K, 2).
        class_passed: (K,) outliers predicted as the class that pass the *common* threshold: the class swallows them.
        class_kept: (K,) share of the test images predicted as the class that the common threshold keeps.
    """

    auroc: float
    auroc_interval: FloatArray
    aupr_in: float
    aupr_out: float
    fpr: float
    fpr_interval: FloatArray
    threshold: float
    support_in: IntArray
    support_out: IntArray
    class_auroc: FloatArray
    class_auroc_interval: FloatArray
    class_aupr_in: FloatArray
    class_aupr_out: FloatArray
    class_fpr: FloatArray
    class_fpr_interval: FloatArray
    class_passed: IntArray
    class_kept: FloatArray

    @property
    def predicted_share(self) -> FloatArray:
        """(K,) share of the outliers that are predicted as each class; sums to 1."""
        return self.support_out / max(1, int(self.support_out.sum()))

    @property
    def predicted_share_interval(self) -> FloatArray:
        """(K, 2) 95 % Wilson interval of it."""
        return wilson_interval(self.support_out, np.full_like(self.support_out, self.support_out.sum()))

    @property
    def swallowed_share(self) -> FloatArray:
        """(K,) share of each class in the outliers that pass the common threshold, the CFPS of outliers; NaN if none pass."""
        total = int(self.class_passed.sum())
        return self.class_passed / total if total else np.full(len(self.class_passed), math.nan)

    @property
    def worst_class(self) -> int | None:
        """The class with the lowest AUROC among those with at least 10 test images and 10 outliers; None if there is none."""
        enough = (np.minimum(self.support_in, self.support_out) >= LEAST) & np.isfinite(self.class_auroc)
        return int(np.argmin(np.where(enough, self.class_auroc, np.inf))) if enough.any() else None

    @property
    def worst_class_auroc(self) -> float:
        """AUROC of :attr:`worst_class`; NaN if there is none."""
        return math.nan if self.worst_class is None else float(self.class_auroc[self.worst_class])

    @property
    def attracting_class(self) -> int:
        """The class that most outliers are predicted as."""
        return int(np.argmax(self.support_out))

    def to_dict(self) -> dict[str, Any]:
        """All numbers by name."""
        found = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {**found, "swallowed_share": self.swallowed_share, "worst_class": self.worst_class}


def detect(inliers: Scored, outliers: Scored, nb_classes: int) -> Detection:
    """Compare the scores of test images and outliers, overall and for each predicted class.

    Args:
        inliers: (m,) predicted classes and (m,) scores of test images, m >= 1.
        outliers: (n,) and (n,) of outliers, n >= 1.
        nb_classes: K.
    """
    (classes_in, scores_in), (classes_out, scores_out) = inliers, outliers
    groups = [(scores_in[classes_in == label], scores_out[classes_out == label]) for label in range(nb_classes)]
    support_in = np.array([len(one) for one, _ in groups], dtype=np.int64)
    support_out = np.array([len(other) for _, other in groups], dtype=np.int64)
    threshold, area = threshold_at(scores_in), auroc(scores_in, scores_out)
    passed = np.array([int((other >= threshold).sum()) for _, other in groups], dtype=np.int64)
    kept = np.array([int((one >= threshold).sum()) for one, _ in groups], dtype=np.float64)
    areas = np.array([auroc(*group) for group in groups])
    rates = np.array([false_positive_rate(*group) for group in groups])
    return Detection(
        auroc=area,
        auroc_interval=auroc_interval(area, len(scores_in), len(scores_out)),
        aupr_in=average_precision(scores_in, scores_out),
        aupr_out=average_precision(-scores_out, -scores_in),
        fpr=false_positive_rate(scores_in, scores_out),
        fpr_interval=wilson_interval(passed.sum(), len(scores_out)),
        threshold=threshold,
        support_in=support_in,
        support_out=support_out,
        class_auroc=areas,
        class_auroc_interval=auroc_interval(areas, support_in, support_out),
        class_aupr_in=np.array([average_precision(*group) for group in groups]),
        class_aupr_out=np.array([average_precision(-other, -one) for one, other in groups]),
        class_fpr=rates,
        class_fpr_interval=_rate_interval(rates, support_out),
        class_passed=passed,
        class_kept=np.divide(kept, support_in, out=np.full(nb_classes, math.nan), where=support_in > 0),
    )


def _rate_interval(rates: FloatArray, total: IntArray) -> FloatArray:
    known = np.isfinite(rates)
    counts = np.rint(np.where(known, rates, 0) * total)
    return wilson_interval(counts, np.where(known, total, 0))
