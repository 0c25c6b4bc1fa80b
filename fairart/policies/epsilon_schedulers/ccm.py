"""CCM, the class-wise margin of CFA (Wei et al., CVPR 2023) that FAIR-TAT uses as well."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.policies.warm_up import CFA_SHARE, past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["ClassCalibratedMargin"]


class ClassCalibratedMargin(EpsilonScheduler):
    """CCM: eps_k = (lambda1 + A_k) * eps with A_k the class's robust accuracy in training (CFA, CVPR 2023, Eq. 4).

    A class that the model finds hard gets a smaller budget. A class without samples keeps the base budget. FAIR-TAT's program
    also offers scores other than accuracy: ``scale_by``.

    Args:
        lambda1: budget at accuracy 0, in units of eps (CFA: 0.5 for AT, 0.3 for TRADES).
        start_epoch: first epoch, counted from 0, with class-wise budgets (FAIR-TAT 1, CFA 10); None for a twentieth of the run.
        scale_by: the score A_k.
        factor: what the score is multiplied with (the program takes 2 for CFPS).
    """

    def __init__(
        self,
        *,
        lambda1: Annotated[float, Option("budget at score 0, in units of eps", low=0, source="CFA Eq. 4")] = 0.5,
        start_epoch: Annotated[
            int | None,
            Option(
                "first epoch, from 0, with class-wise budgets; None: after a twentieth of the run",
                low=0,
                source="FAIR-TAT 1, CFA 10 of 200",
            ),
        ] = 1,
        scale_by: Annotated[
            Literal["accuracy", "cfps", "cfns"], Option("which statistic scales the budget", source="FAIR-TAT program")
        ] = "accuracy",
        factor: Annotated[float, Option("what the statistic is multiplied with", low=0, source="FAIR-TAT program")] = 1.0,
    ) -> None:
        super().__init__()
        self.lambda1 = lambda1
        self.start_epoch = start_epoch
        self.scale_by = scale_by
        self.factor = factor

    def epsilons(self, base: float, statistics: EpochStatistics) -> FloatArray:
        """(lambda1 + factor * A_k) * base, (K,); ``base`` before ``start_epoch`` and for absent classes."""
        robust = statistics.robust
        score = {"accuracy": robust.class_accuracy, "cfps": robust.cfps, "cfns": robust.cfns}[self.scale_by]
        if not past_warm_up(self.start_epoch, statistics, share=CFA_SHARE):
            return np.full(robust.nb_classes, base)
        scaled: FloatArray = (self.lambda1 + self.factor * score) * base
        return np.where(robust.support > 0, scaled, base)
