"""CCR: class-wise strength of the TRADES regulariser."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.warm_up import CFA_SHARE, past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["ClassCalibratedRegularisation", "class_wise_beta"]


def class_wise_beta(scale: FloatArray, beta: float) -> FloatArray:
    """(K,) share of the regulariser in each class's loss: c beta / (1 + c beta) (CFA, CCR).

    Args:
        scale: (K,) c_k = lambda2 + A_k, >= 0; 1 gives plain TRADES divided by 1 + beta.
        beta: the objective's factor, >= 0.
    """
    strength = scale * beta
    share: FloatArray = strength / (1.0 + strength)
    return share


class ClassCalibratedRegularisation(ClassWeighting):
    """CCR: mean of (1 - b_y) CE + b_y KL with b_k = (lambda2 + A_k) beta / (1 + (lambda2 + A_k) beta) (CFA, CVPR 2023).

    A_k is the class's robust accuracy in training. A class that the model finds hard gets less regularisation. Needs an objective
    with a boundary term: trades or bat. ``current`` holds c_k = lambda2 + A_k, 1 before ``start_epoch`` and for absent classes.

    Paper and here: A_k counted per class. Program: assumes balanced classes.

    Args:
        lambda2: strength at accuracy 0, in units of beta.
        start_epoch: first epoch, counted from 0, with class-wise shares; None for a twentieth of the run.
    """

    needs_boundary: ClassVar[bool] = True

    def __init__(
        self,
        *,
        lambda2: Annotated[float, Option("regularisation at accuracy 0, in units of beta", low=0, source="CFA")] = 0.5,
        start_epoch: Annotated[
            int | None,
            Option(
                "first epoch, from 0, with class-wise shares; None: after a twentieth of the run", low=0, source="CFA 10 of 200"
            ),
        ] = 1,
    ) -> None:
        super().__init__()
        self.lambda2 = lambda2
        self.start_epoch = start_epoch

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) c_k = lambda2 + A_k."""
        robust = statistics.robust
        if not past_warm_up(self.start_epoch, statistics, share=CFA_SHARE):
            return np.ones(robust.nb_classes)
        # With lambda2 = 0 and no class ever right there is nothing to regularise; a trace keeps the plan valid.
        scaled: FloatArray = np.maximum(self.lambda2 + robust.class_accuracy, 1e-12)
        return np.where(robust.support > 0, scaled, 1.0)

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Mean of (1 - b_y) natural + b_y boundary + extra, a scalar."""
        boundary = self.boundary_of(terms)
        strength = self.per_sample(labels, boundary) * terms.beta
        share = strength / (1 + strength)
        loss = (1 - share) * terms.natural + share * boundary
        return (loss if terms.extra is None else loss + terms.extra).mean()
