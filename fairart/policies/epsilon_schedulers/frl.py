"""FRL's class margins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.frl import FRL_SHARE, Bound, ValidationSteps, WarmUp
from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.policies.frl_multipliers import frl_errors, frl_margin_multipliers, frl_margin_scale
from fairart.policies.warm_up import past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["FRLMargin"]


class FRLMargin(EpsilonScheduler):
    """FRL-RM: eps_k = eps * clamp(exp(2 l_k), 0.98, 3), l_k a multiplier of the bound on boundary errors (FRL, ICML 2021).

    A class whose boundary error lies too far above the overall one gets a larger budget. The step becomes
    eps_step * max(eps_k) / eps for every class: at eps_step = eps / 4 the program's max(eps_k) / 4.

    Paper and program re-estimate before each epoch; here after each, see ``FRLWeighting``.

    Args:
        warm_up: epochs with the base budget; 0 with a warm start, None for half of the run.
        bound_boundary: bound on a class's boundary error, above the overall one.
        rate: step of the multipliers.
        validation_iter: steps of the attack on validation data.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"validation"})

    def __init__(
        self,
        *,
        warm_up: WarmUp = None,
        bound_boundary: Bound = 0.07,
        rate: Annotated[float, Option("step of the multipliers", low=0, source="FRL 0.2, program 0.1")] = 0.2,
        validation_iter: ValidationSteps = 20,
    ) -> None:
        super().__init__()
        self.warm_up, self.bound_boundary, self.rate = warm_up, bound_boundary, rate
        self.validation_iter = validation_iter
        self.active = warm_up == 0
        self.multipliers: FloatArray | None = None

    def epsilons(self, base: float, statistics: EpochStatistics) -> FloatArray:
        """(K,) eps * s_k; moves the multipliers by one round once the warm-up is over."""
        if statistics.validation is None:
            raise ValueError("FRL needs validation statistics, got none")
        before = self.multipliers
        if before is None or len(before) != statistics.robust.nb_classes:
            before = np.zeros(statistics.robust.nb_classes)
        self.active = self.active or past_warm_up(self.warm_up, statistics, share=FRL_SHARE)
        if self.active:
            violations = frl_errors(statistics.validation).violations(0.0, self.bound_boundary)
            before = frl_margin_multipliers(before, violations, rate=self.rate)
        self.multipliers = before
        return base * frl_margin_scale(before)

    def steps(self, base_step: float, epsilons: FloatArray) -> FloatArray:
        """(K,) the step in proportion to the largest budget, alike for every class."""
        scale = float(np.max(epsilons)) / self.base if self.base > 0 else 1.0
        return np.full(len(epsilons), base_step * scale)

    def state_dict(self) -> dict[str, Any]:
        """The plan and the multipliers behind it."""
        multipliers = None if self.multipliers is None else self.multipliers.tolist()
        return {**super().state_dict(), "multipliers": multipliers, "active": self.active}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the multipliers back."""
        super().load_state_dict(state)
        self.multipliers = None if state["multipliers"] is None else np.array(state["multipliers"], dtype=np.float64)
        self.active = bool(state["active"])
