"""WAT: Hedge over the classes and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting
from fairart.statistics import EpochStatistics, ValidationStatistics

__all__ = ["WorstClassWeighting", "expert_losses", "hedge_weights"]


def hedge_weights(cumulated: FloatArray, eta: float) -> FloatArray:
    """(K + 1,) weights K exp(eta L_k) / sum_j exp(eta L_j) of the K classes and their mean (WAT).

    Args:
        cumulated: (K + 1,) losses summed over the epochs, those of the classes and the mean one.
        eta: rate, >= 0.
    """
    # Losses grow with the epochs; without their maximum the exponential overflows.
    powers = np.exp(eta * (cumulated - cumulated.max()))
    weights: FloatArray = (len(cumulated) - 1) * powers / powers.sum()
    return weights


def expert_losses(validation: ValidationStatistics, beta: float) -> FloatArray:
    """(K + 1,) validation TRADES loss of each class, and the mean over all samples last.

    A class without validation samples counts with the mean.

    Args:
        validation: a pass with losses.
        beta: factor of the boundary loss.

    Raises:
        ValueError: the losses were not measured.
    """
    if validation.natural_loss is None or validation.boundary_loss is None:
        raise ValueError("WAT needs validation losses, got none")
    losses = validation.natural_loss + beta * validation.boundary_loss
    support = validation.clean.support
    mean = float(np.average(np.where(support > 0, losses, 0.0), weights=support))
    return np.append(np.where(support > 0, losses, mean), mean)


class WorstClassWeighting(ClassWeighting):
    """WAT: class weights by Hedge over K + 1 experts, the classes and their mean (Li and Liu, AAAI 2023).

    An expert's loss is its validation TRADES loss CE + beta * KL, on examples that the KL attack makes, summed over the epochs.
    The paper's batch loss, sum_i w_{y_i} l_i / n + w_{K+1} * mean l, equals the mean of (w_y + w_{K+1}) l: ``current`` holds
    w_k + w_{K+1}. With other objectives than trades it weighs theirs by the same validation losses.

    Paper and here: equal experts, 2 K / (K + 1) for each class, in the first epoch. Program: 2; forgets the sums when it resumes.

    Args:
        eta: rate of Hedge.
        beta: factor of the boundary loss among the validation losses.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"validation_losses"})

    def __init__(
        self,
        *,
        eta: Annotated[float, Option("rate of Hedge", low=0, source="WAT 0.1")] = 0.1,
        beta: Annotated[float, Option("factor of the KL in the validation losses", low=0, source="WAT 6")] = 6.0,
    ) -> None:
        super().__init__()
        self.eta, self.beta = eta, beta
        self.cumulated: FloatArray | None = None

    def start(self, nb_classes: int) -> None:
        """Begin with equal experts, unless there are some for that many classes already."""
        super().start(nb_classes)
        if self.cumulated is None or len(self.cumulated) != nb_classes + 1:
            self.cumulated = np.zeros(nb_classes + 1)
            self.current = self._class_weights()

    @property
    def expert_weights(self) -> FloatArray:
        """(K + 1,) weights of the classes, and of their mean last.

        Raises:
            ValueError: before :meth:`start`.
        """
        if self.cumulated is None:
            raise ValueError("WAT has no experts before start()")
        return hedge_weights(self.cumulated, self.eta)

    def _class_weights(self) -> FloatArray:
        experts = self.expert_weights
        combined: FloatArray = experts[:-1] + experts[-1]
        return combined

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) w_k + w_{K+1}; adds the epoch's losses first."""
        if statistics.validation is None:
            raise ValueError("WAT needs validation losses, got none")
        losses = expert_losses(statistics.validation, self.beta)
        self.cumulated = losses if self.cumulated is None else self.cumulated + losses
        return self._class_weights()

    def state_dict(self) -> dict[str, Any]:
        """The weights and the losses behind them."""
        return {**super().state_dict(), "cumulated": None if self.cumulated is None else self.cumulated.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the losses back."""
        super().load_state_dict(state)
        self.cumulated = None if state["cumulated"] is None else np.array(state["cumulated"], dtype=np.float64)
