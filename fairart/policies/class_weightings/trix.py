"""TRIX's loss weights: more for classes below the mean."""

from __future__ import annotations

import numpy as np

from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting
from fairart.statistics import EpochStatistics

__all__ = ["TRIXWeighting"]


class TRIXWeighting(ClassWeighting):
    """w_k = 1 + (mean A - A_k), rescaled to mean 1, with A_k the class's robust accuracy in training (TRIX; the form is ours).

    The paper (Medi, Jung, Keuper, 2025) raises weak classes "building on prior work" and its weights could not be read anywhere.
    A class without samples has weight 1 before the rescaling.
    """

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) weights of mean 1."""
        accuracy = statistics.robust.class_accuracy
        mean = float(np.nanmean(accuracy)) if statistics.robust.total else 0.0
        raised: FloatArray = 1.0 + mean - np.where(statistics.robust.support > 0, accuracy, mean)
        raised /= raised.mean()
        return raised
