"""Weight averaging: which epochs enter the averaged weights, and how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.base import Policy, ask
from fairart.statistics import EpochStatistics

__all__ = ["Averaging", "ExponentialMovingAverage", "FairnessAwareWeightAveraging"]

Weights = Mapping[str, Tensor]

Decay = Annotated[float, Option("share of the old average that is kept", low=0, high=1, source="CFA 0.85, its program 0.88")]
Start = Annotated[
    int | None,
    Option("first epoch, from 0, that may enter; None: after a quarter of the run, the paper's 50 of 200", low=0, source="CFA"),
]


class Averaging(Policy):
    """Averages weights once an epoch: average <- decay * average + (1 - decay) * weights.

    Subclasses write :meth:`accepts`. The first accepted epoch starts the average. Batch-norm statistics are averaged as well,
    integer buffers are copied.

    Args:
        decay: share of the old average that is kept, in [0, 1].
        start_epoch: first epoch, counted from 0, that may enter; None for a quarter of the run.
    """

    # On the class: a subclass whose __init__ does not call this one has them too.
    decay: float = 0.85
    start_epoch: int | None = None
    average: dict[str, Tensor] | None = None
    accepted: int = 0
    refused: int = 0
    """Epochs from ``start_epoch`` on that were not accepted."""

    def __init__(self, *, decay: Decay = 0.85, start_epoch: Start = None) -> None:
        self.decay = decay
        self.start_epoch = start_epoch

    def accepts(self, statistics: EpochStatistics) -> bool:
        """Whether the epoch that ended enters the average.

        Args:
            statistics: of the epoch that ended.
        """
        return True

    def first_epoch(self, nb_epochs: int) -> int:
        """First epoch, counted from 0, that may enter in a run of ``nb_epochs``."""
        return nb_epochs // 4 if self.start_epoch is None else self.start_epoch

    def hint(self) -> str:
        """What would let epochs enter, in a clause for a message; empty where nothing is known."""
        return ""

    def update(self, weights: Weights, statistics: EpochStatistics) -> bool:
        """Take in an epoch's weights if they are accepted.

        Args:
            weights: the model's ``state_dict()``; it is copied, never kept.
            statistics: of the epoch that ended.

        Returns:
            Whether they were taken in.
        """
        if statistics.epoch < self.first_epoch(statistics.nb_epochs):
            return False
        if not ask(self, "accepts", self.accepts, statistics):
            self.refused += 1
            return False
        with torch.no_grad():
            if self.average is None:
                self.average = {name: value.detach().clone() for name, value in weights.items()}
            else:
                self._blend(self.average, weights)
        self.accepted += 1
        return True

    def _blend(self, average: dict[str, Tensor], weights: Weights) -> None:
        for name, value in weights.items():
            if value.is_floating_point():
                average[name].mul_(self.decay).add_(value.detach(), alpha=1 - self.decay)
            else:
                average[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average, how many epochs it holds, and how many were refused."""
        return {"average": self.average, "accepted": self.accepted, "refused": self.refused}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the average back."""
        average = state["average"]
        self.average = None if average is None else {name: value.clone() for name, value in average.items()}
        self.accepted, self.refused = int(state["accepted"]), int(state.get("refused", 0))


class ExponentialMovingAverage(Averaging):
    """EMA: every epoch enters.

    Args:
        decay: share of the old average that is kept, in [0, 1].
        start_epoch: first epoch, counted from 0, that may enter; None for a quarter of the run.
    """


class FairnessAwareWeightAveraging(Averaging):
    """FAWA: an epoch enters only if the worst class is robust enough on validation data (CFA, CVPR 2023, Sec. 4.3).

    Paper: decay 0.85, threshold 0.2; the authors' program takes 0.88. Here the paper's.

    Args:
        threshold: least robust accuracy of the worst class, in [0, 1].
        decay: share of the old average that is kept, in [0, 1].
        start_epoch: first epoch, counted from 0, that may enter; None for a quarter of the run.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"validation"})
    best: float = 0.0
    """Highest robust accuracy of the worst class among the epochs that could enter."""

    def __init__(
        self,
        *,
        threshold: Annotated[float, Option("least robust accuracy of the worst class", low=0, high=1, source="CFA 0.2")] = 0.2,
        decay: Decay = 0.85,
        start_epoch: Start = None,
    ) -> None:
        super().__init__(decay=decay, start_epoch=start_epoch)
        self.threshold = threshold

    def accepts(self, statistics: EpochStatistics) -> bool:
        """Whether the worst class reaches the threshold."""
        if statistics.validation is None:
            raise ValueError("FAWA needs validation statistics, got none")
        worst = statistics.validation.robust.worst_class_accuracy()
        self.best = max(self.best, worst)
        return worst >= self.threshold

    def hint(self) -> str:
        """The highest accuracy of the worst class so far, which is the threshold that would have let its epoch enter."""
        return (
            f"on validation data under attack the worst class reached {self.best:.1%} at most, the threshold is "
            f"{self.threshold:.1%}: threshold={math.floor(1000 * self.best) / 1000:g} would have taken that epoch in"
        )

    def state_dict(self) -> dict[str, Any]:
        """The average, and the best epoch so far."""
        return {**super().state_dict(), "best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take both back."""
        super().load_state_dict(state)
        self.best = float(state.get("best", 0.0))
