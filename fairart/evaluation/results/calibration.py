"""Calibration: is a share c of the predictions that are made with confidence c right?

Confidence is the softmax probability of the predicted class. Samples are sorted into equal-width bins of it; a reliability
diagram shows the accuracy of each bin against its mean confidence, and the expected calibration error (ECE) is the mean gap,
weighted by samples (Guo et al., ICML 2017, with 15 bins as there).

Per class, samples are grouped by the *predicted* class: "80 % of the samples that the
model takes for a cat with 80 % confidence are cats". This is top-label calibration (Gupta & Ramdas, ICLR 2022), and users of the
model can check it. If samples are grouped by the true class (``by="true"``), even a perfectly calibrated model has gaps, because
the true class is more information than the confidence. That grouping shows how confident the model is on the samples of each
class. The class-wise error of Nixon et al. (CVPR workshops 2019) is not computed: it needs all K probabilities of a sample, and
only the largest is kept here.

The ECE of few samples is too high on average, because noise within bins counts as a gap. Compare groups of similar size only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NB_BINS", "Reliability", "calibration_by_class", "reliability"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NB_BINS = 15
"""Bins of the literature (Guo et al., 2017)."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram and its calibration errors.

    Args:
        counts: (B,) samples of each bin; bin b holds confidences in (b / B, (b + 1) / B]; the first bin also holds 0.
        accuracy: (B,) share of them that is right; NaN for an empty bin.
        confidence: (B,) their mean confidence; NaN for an empty bin.
    """

    counts: IntArray
    accuracy: FloatArray
    confidence: FloatArray

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.counts.sum())

    @property
    def gaps(self) -> FloatArray:
        """(B,) mean confidence less accuracy: above 0 where the model is over-confident; NaN for an empty bin."""
        return self.confidence - self.accuracy

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1]: mean absolute gap over samples (Guo et al., 2017, Eq. 3); NaN when empty."""
        return self._mean(np.abs(self.gaps))

    @property
    def mce(self) -> float:
        """Maximum calibration error, in [0, 1]: the largest absolute gap (Guo et al., 2017, Eq. 5); NaN when empty."""
        return float(np.nanmax(np.abs(self.gaps))) if self.total else math.nan

    @property
    def overconfidence(self) -> float:
        """Mean confidence less accuracy over all samples, in [-1, 1]; NaN when empty."""
        return self._mean(self.gaps)

    def _mean(self, values: FloatArray) -> float:
        return float(self.counts @ np.nan_to_num(values)) / self.total if self.total else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists; NaN stays NaN."""
        return {
            "ece": self.ece,
            "mce": self.mce,
            "overconfidence": self.overconfidence,
            "counts": self.counts.tolist(),
            "accuracy": self.accuracy.tolist(),
            "confidence": self.confidence.tolist(),
        }


def reliability(correct: npt.ArrayLike, confidences: npt.ArrayLike, *, nb_bins: int = NB_BINS) -> Reliability:
    """Sort samples into equal-width bins of confidence.

    Args:
        correct: (n,) whether each sample is right.
        confidences: (n,) softmax probability of its predicted class, in [0, 1].
        nb_bins: number of bins, >= 1.

    Raises:
        ValueError: other shapes, confidences outside [0, 1] or NaN, or no bin.
    """
    right, sure = np.asarray(correct), np.asarray(confidences, dtype=np.float64)
    if right.ndim != 1 or right.shape != sure.shape:
        raise ValueError(f"expected correct and confidences of one shape (n,), got {right.shape} and {sure.shape}")
    if right.dtype.kind != "b":
        raise ValueError(f"expected correct to be true or false for each sample, got dtype {right.dtype}")
    # Written so that NaN fails too.
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("confidences are probabilities: expected every one in [0, 1]")
    if not isinstance(nb_bins, int) or isinstance(nb_bins, bool) or nb_bins < 1:
        raise ValueError(f"nb_bins must be a whole number >= 1, got {nb_bins!r}")
    inner = np.linspace(0, 1, nb_bins + 1)[1:-1]
    place = np.searchsorted(inner, sure, side="left")  # an edge belongs to the bin below it
    counts = np.bincount(place, minlength=nb_bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(place, weights=right, minlength=nb_bins) / counts
        confidence = np.bincount(place, weights=sure, minlength=nb_bins) / counts
    return Reliability(counts.astype(np.int64), accuracy, confidence)


def calibration_by_class(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    confidences: npt.ArrayLike,
    *,
    nb_classes: int,
    by: str = "predicted",
    nb_bins: int = NB_BINS,
) -> Sequence[Reliability]:
    """A reliability diagram for each class.

    Args:
        labels: (n,) true classes.
        predictions: (n,) predicted classes.
        confidences: (n,) softmax probability of the predicted class.
        nb_classes: K.
        by: ``"predicted"`` groups samples by their predicted class (top-label calibration), ``"true"`` by their true class.
        nb_bins: number of bins.

    Returns:
        K diagrams. The diagram of a class without samples is empty, and its ECE is NaN.

    Raises:
        ValueError: as for :func:`reliability`, or another ``by``.
    """
    if by not in ("predicted", "true"):
        raise ValueError(f"by must be 'predicted' or 'true', got {by!r}")
    true, guess, sure = np.asarray(labels), np.asarray(predictions), np.asarray(confidences)
    if not true.shape == guess.shape == sure.shape:
        raise ValueError(
            f"expected labels, predictions and confidences of one shape (n,), got {true.shape}, {guess.shape}, {sure.shape}"
        )
    group = guess if by == "predicted" else true
    return [reliability((true == guess)[group == index], sure[group == index], nb_bins=nb_bins) for index in range(nb_classes)]
