"""A target sampler as a plugin: aim most often at the classes that the model gets wrong most often."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fairart import hookimpl
from fairart.options import Option
from fairart.policies import TargetSampler
from fairart.statistics import EpochStatistics

__all__ = ["InverseAccuracySampler"]


class InverseAccuracySampler(TargetSampler):
    """Aim at class k in proportion to (1 - robust accuracy of k) ** power.

    Args:
        power: 0 aims uniformly, 1 in proportion to the error, more at the worst classes almost only.
    """

    def __init__(self, *, power: Annotated[float, Option("exponent of the error rate", low=0, high=10)] = 1.0) -> None:
        super().__init__()
        self.power = power

    def class_weights(self, statistics: EpochStatistics) -> np.ndarray:
        """(K,) weights; a class without samples counts as all wrong, and a model without errors aims uniformly."""
        errors = 1.0 - np.nan_to_num(statistics.robust.class_accuracy, nan=0.0)
        return errors**self.power if errors.any() else np.ones_like(errors)


@hookimpl
def fairart_register_target_samplers(register):
    """Make the sampler known."""
    register("inverse-accuracy", InverseAccuracySampler)
