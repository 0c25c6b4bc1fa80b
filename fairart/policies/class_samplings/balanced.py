"""Every class drawn alike."""

from __future__ import annotations

import numpy as np

from fairart.policies.base import FloatArray
from fairart.policies.class_samplings.base import ClassSampling
from fairart.statistics import EpochStatistics

__all__ = ["BalancedSampling"]


class BalancedSampling(ClassSampling):
    """Every class drawn with the same probability, however many samples it has (class-balanced sampling, Kang et al., 2020)."""

    def probabilities(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) 1 / K."""
        return np.full(statistics.robust.nb_classes, 1 / statistics.robust.nb_classes)
