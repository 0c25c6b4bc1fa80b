"""DAFA's class weights on the cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.dafa_weights import dafa_weights
from fairart.policies.warm_up import past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["DAFA_SHARE", "DAFAWeighting", "Strength", "WarmUp", "measured_weights"]

DAFA_SHARE = 70 / 110
"""DAFA warms up for 70 of 110 epochs."""

WarmUp = Annotated[
    int | None, Option("epochs before the weights are taken, once; None: 7 of 11 of the run", low=1, source="DAFA 70 of 110")
]
Strength = Annotated[float, Option("lambda of the weights", low=0, source="DAFA 1; CIFAR-100 and STL-10 1.5")]


def measured_weights(statistics: EpochStatistics, strength: float) -> FloatArray:
    """(K,) DAFA weights >= 0 of the epoch that ended.

    Raises:
        ValueError: mean probabilities were not measured.
    """
    if statistics.mean_probabilities is None:
        raise ValueError("DAFA needs mean probabilities, got none")
    return np.maximum(dafa_weights(statistics.mean_probabilities, strength), 0.0)


class DAFAWeighting(ClassWeighting):
    """DAFA: the cross-entropy of class k counts W_k times, from the end of the warm-up on (Lee et al., ICLR 2024).

    W is taken once, from the class similarities of the last warm-up epoch (see :mod:`fairart.policies.dafa_weights`). The
    boundary term is left alone: with trades W weighs the clean cross-entropy, with at the adversarial one. Goes with the epsilon
    scheduler of the same name, which sees the same similarities and so derives the same W.

    Paper and here: so. Program: its AT loss takes a second, unweighted step.

    Args:
        warm_up: epochs before the weights are taken; None for 7 of 11 of the run.
        strength: lambda.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"mean_probabilities"})

    def __init__(self, *, warm_up: WarmUp = None, strength: Strength = 1.0) -> None:
        super().__init__()
        self.warm_up, self.strength = warm_up, strength
        self.taken: FloatArray | None = None

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) W; 1 during the warm-up."""
        if self.taken is None and past_warm_up(self.warm_up, statistics, share=DAFA_SHARE):
            self.taken = measured_weights(statistics, self.strength)
        return np.ones(statistics.robust.nb_classes) if self.taken is None else self.taken

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Mean of W_y * natural + beta * boundary + extra, a scalar."""
        weighted = (self.per_sample(labels, terms.natural) - 1) * terms.natural
        return (terms.total() + weighted).mean()

    def state_dict(self) -> dict[str, Any]:
        """The weights, once they are taken."""
        return {**super().state_dict(), "taken": None if self.taken is None else self.taken.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        self.taken = None if state["taken"] is None else np.array(state["taken"], dtype=np.float64)
