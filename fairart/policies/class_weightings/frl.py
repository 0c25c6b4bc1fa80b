"""FRL's class weights: clean and boundary loss weighed apart by dual multipliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassTable, ClassWeighting, LossTerms
from fairart.policies.frl_multipliers import frl_class_weights, frl_errors, frl_loss_multipliers
from fairart.policies.warm_up import past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["FRL_SHARE", "Bound", "FRLWeighting", "ValidationSteps", "WarmUp"]

FRL_SHARE = 1 / 2
"""Share of the run that is warm-up where nobody says otherwise."""

WarmUp = Annotated[
    int | None,
    Option("epochs of the plain objective before the method sets in; 0 with a warm start; None: half of the run", low=0),
]
Bound = Annotated[
    float, Option("how far a class's error may lie above the overall one", low=0, source="FRL 0.05 to 0.1; program 0.1")
]
ValidationSteps = Annotated[int, Option("steps of the attack on validation data", low=1, source="FRL program: PGD-20")]


class FRLWeighting(ClassWeighting):
    """FRL-RW: sum(w0_y CE) / sum(w0_y) + beta * sum(w1_y KL) / sum(w1_y) (Xu et al., ICML 2021).

    w0 and w1 follow from multipliers of the constraints that no class's clean error, or boundary error, lies more than a bound
    above the overall one on validation data. Needs an objective with a boundary term: trades or bat.

    Paper: re-estimates before each epoch. Program: the same, but starts from a downloaded model and ignores its seed. Here: after
    each epoch, so that one pass over validation data serves everybody; the first epoch of a warm start has equal weights.

    Args:
        warm_up: epochs of the plain objective; 0 with a warm start, None for half of the run.
        beta: factor of the boundary loss after the warm-up.
        bound_clean: bound on a class's clean error, above the overall one.
        bound_boundary: bound on a class's boundary error.
        rate: step of the multipliers.
        validation_iter: steps of the attack on validation data.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"validation"})
    needs_boundary: ClassVar[bool] = True
    looks_across_batch: ClassVar[bool] = True

    def __init__(
        self,
        *,
        warm_up: WarmUp = None,
        beta: Annotated[float, Option("factor of the boundary loss after the warm-up", low=0, source="FRL program 1.5")] = 1.5,
        bound_clean: Bound = 0.07,
        bound_boundary: Bound = 0.07,
        rate: Annotated[float, Option("step of the multipliers", low=0, source="FRL program")] = 0.05,
        validation_iter: ValidationSteps = 20,
    ) -> None:
        super().__init__()
        self.warm_up, self.beta, self.rate = warm_up, beta, rate
        self.bounds = bound_clean, bound_boundary
        self.validation_iter = validation_iter
        self.active = warm_up == 0
        self.rounds = 0
        self.multipliers: tuple[FloatArray, FloatArray] | None = None
        self._boundary_table: ClassTable | None = None

    def start(self, nb_classes: int) -> None:
        """Begin with weights of 1 / K, unless there are weights for that many classes already."""
        super().start(nb_classes)
        if self.multipliers is None or len(self.multipliers[0]) != nb_classes:
            self.multipliers = np.zeros(nb_classes), np.zeros(nb_classes)
            self.current = frl_class_weights(self.multipliers[0])
            self._boundary_table = None

    @property
    def boundary_weights(self) -> FloatArray | None:
        """(K,) w1, the weights of the boundary loss; ``current`` holds w0. None before :meth:`start`."""
        return None if self.multipliers is None else frl_class_weights(self.multipliers[1])

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) w0; moves the multipliers by one round once the warm-up is over."""
        if statistics.validation is None:
            raise ValueError("FRL needs validation statistics, got none")
        before = self.multipliers or (np.zeros(statistics.robust.nb_classes),) * 2
        self.active = self.active or past_warm_up(self.warm_up, statistics, share=FRL_SHARE)
        if self.active:
            violations = frl_errors(statistics.validation).violations(*self.bounds)
            before = frl_loss_multipliers(*before, violations, rate=self.rate, rounds=self.rounds)
            self.rounds += 1
        self.multipliers, self._boundary_table = before, None
        return frl_class_weights(before[0])

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """The two weighted means; the plain mean of the objective during the warm-up."""
        boundary = self.boundary_of(terms)
        weights = self.boundary_weights
        if not self.active or weights is None:
            return terms.total().mean()
        if self._boundary_table is None:
            self._boundary_table = ClassTable(weights)
        first, second = self.per_sample(labels, terms.natural), self._boundary_table(labels, boundary)
        loss = self._weighted_mean(first, terms.natural) + self.beta * self._weighted_mean(second, boundary)
        return loss if terms.extra is None else loss + terms.extra.mean()

    def _weighted_mean(self, weights: Tensor, values: Tensor) -> Tensor:
        # The mean weight is that of the whole batch, of which this process may hold a part.
        total = self.all_reduce(torch.stack([weights.sum(), weights.new_tensor(float(len(weights)))]))
        return (weights * values).mean() / (total[0] / total[1])

    def state_dict(self) -> dict[str, Any]:
        """Multipliers, and how many rounds made them."""
        multipliers = None if self.multipliers is None else [each.tolist() for each in self.multipliers]
        return {**super().state_dict(), "multipliers": multipliers, "rounds": self.rounds, "active": self.active}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the multipliers back."""
        super().load_state_dict(state)
        multipliers = state["multipliers"]
        self.multipliers = None if multipliers is None else (np.array(multipliers[0]), np.array(multipliers[1]))
        self.rounds, self.active, self._boundary_table = int(state["rounds"]), bool(state["active"]), None
