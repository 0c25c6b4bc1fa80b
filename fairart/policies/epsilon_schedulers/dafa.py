"""DAFA's class margins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.dafa import DAFA_SHARE, Strength, WarmUp, measured_weights
from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.policies.warm_up import past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["DAFAMargin"]


class DAFAMargin(EpsilonScheduler):
    """DAFA: budget and step of class k are W_k times the trainer's, from the end of the warm-up on (Lee et al., ICLR 2024).

    W as in the class weighting of the same name, which derives it from the same statistics.

    Args:
        warm_up: epochs before the weights are taken; None for 7 of 11 of the run.
        strength: lambda.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"mean_probabilities"})

    def __init__(self, *, warm_up: WarmUp = None, strength: Strength = 1.0) -> None:
        super().__init__()
        self.warm_up, self.strength = warm_up, strength
        self.taken: FloatArray | None = None

    def epsilons(self, base: float, statistics: EpochStatistics) -> FloatArray:
        """(K,) W_k * eps; ``base`` during the warm-up."""
        if self.taken is None and past_warm_up(self.warm_up, statistics, share=DAFA_SHARE):
            self.taken = measured_weights(statistics, self.strength)
        return np.full(statistics.robust.nb_classes, base) if self.taken is None else base * self.taken

    def steps(self, base_step: float, epsilons: FloatArray) -> FloatArray:
        """(K,) W_k * eps_step."""
        return np.full(len(epsilons), base_step) if self.taken is None else base_step * self.taken

    def state_dict(self) -> dict[str, Any]:
        """The plan and the weights, once they are taken."""
        return {**super().state_dict(), "taken": None if self.taken is None else self.taken.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        self.taken = None if state["taken"] is None else np.array(state["taken"], dtype=np.float64)
