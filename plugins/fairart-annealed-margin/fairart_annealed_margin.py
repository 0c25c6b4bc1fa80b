"""Two parts in one plugin: an epsilon scheduler with memory, and a fairness metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from fairart import hookimpl
from fairart.options import Option
from fairart.policies import EpsilonScheduler
from fairart.statistics import ConfusionMatrix, EpochStatistics

__all__ = ["AnnealedMargin", "bottom_half"]


class AnnealedMargin(EpsilonScheduler):
    """Class-wise budgets that are phased in: from the same for all to (1 - spread / 2 + spread * A_k) * eps.

    A_k is a running mean of the class's robust accuracy, so one odd epoch does not move a budget much.

    Args:
        spread: how far budgets may part, in units of eps.
        warmup: epochs until the full spread is reached.
        momentum: share of the old mean that is kept.
    """

    def __init__(
        self,
        *,
        spread: Annotated[float, Option("how far budgets may part, in units of eps", low=0, high=2)] = 1.0,
        warmup: Annotated[int, Option("epochs until the full spread", low=1)] = 5,
        momentum: Annotated[float, Option("share of the old mean that is kept", low=0, high=1)] = 0.5,
    ) -> None:
        super().__init__()
        self.spread, self.warmup, self.momentum = spread, warmup, momentum
        self.mean: np.ndarray | None = None

    def epsilons(self, base: float, statistics: EpochStatistics) -> np.ndarray:
        """(K,) budgets; a class without samples counts as half right."""
        accuracy = np.nan_to_num(statistics.robust.class_accuracy, nan=0.5)
        fresh = self.mean is None or len(self.mean) != len(accuracy)
        self.mean = accuracy if fresh else self.momentum * self.mean + (1 - self.momentum) * accuracy
        spread = self.spread * min(1.0, (statistics.epoch + 1) / self.warmup)
        return (1 - spread / 2 + spread * self.mean) * base

    def state_dict(self) -> dict[str, Any]:
        """The plan in force and the running mean."""
        return {**super().state_dict(), "mean": None if self.mean is None else self.mean.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take both back."""
        super().load_state_dict(state)
        self.mean = None if state["mean"] is None else np.array(state["mean"])


def bottom_half(
    confusion: ConfusionMatrix,
    *,
    fraction: Annotated[float, Option("share of the classes", low=0, low_open=True, high=1)] = 0.5,
) -> float:
    """Mean accuracy of the worse half of the classes: steadier than the single worst one.

    Args:
        confusion: rows true, columns predicted.
        fraction: share of the classes that counts.
    """
    return confusion.worst_class_accuracy(fraction)


@hookimpl
def fairart_register_epsilon_schedulers(register):
    """Make the scheduler known."""
    register("annealed-margin", AnnealedMargin)


@hookimpl
def fairart_register_fairness_metrics(register):
    """Make the metric known."""
    register("bottom-half", bottom_half)
