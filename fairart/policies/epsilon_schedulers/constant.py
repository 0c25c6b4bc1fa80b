"""The same budget for every class."""

from __future__ import annotations

import numpy as np

from fairart.policies.base import FloatArray
from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.statistics import EpochStatistics

__all__ = ["ConstantEpsilon"]


class ConstantEpsilon(EpsilonScheduler):
    """The base budget for every class in every epoch."""

    def epsilons(self, base: float, statistics: EpochStatistics) -> FloatArray:
        """``base`` for all, (K,)."""
        return np.full(statistics.robust.nb_classes, base)
