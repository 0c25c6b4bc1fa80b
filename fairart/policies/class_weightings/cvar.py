"""Class CVaR: in every batch, the worst share of the classes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.class_weightings.class_means import class_means, weighted_class_means

__all__ = ["ClassCVaRWeighting", "cvar_weights"]


def cvar_weights(means: Tensor, present: Tensor, alpha: float) -> Tensor:
    """(K,) argmax of p . m with p_k <= 1 / (alpha K) and sum p = 1, over the classes present: filled greedily from the worst.

    Args:
        means: (K,) loss of each class; what stands for absent classes is not looked at.
        present: (K,) bool.
        alpha: share of the classes, in (0, 1]; 1 gives equal weights, 1 / K or less the worst class alone.
    """
    order = torch.where(present, means, float("-inf")).argsort(descending=True, stable=True)
    largest = (1 / (alpha * present.sum().to(means.dtype))).clamp_max(1.0)
    place = torch.arange(len(means), device=means.device, dtype=means.dtype)
    shares = (1 - place * largest).clamp(min=0.0)
    filled = torch.minimum(shares, largest) * present[order]
    return torch.zeros_like(means).index_copy(0, order, filled)


class ClassCVaRWeighting(ClassWeighting):
    """Class CVaR: sum_k p_k m_k with the worst weights p_k <= 1 / (alpha K) for the batch's mean losses m (LCVaR).

    The mean loss of the worst ``alpha`` share of the classes (Williamson and Menon, 2019; a baseline of CFOL). K counts the
    classes of the batch. Every class of the batch counts alike, however many samples it has.

    Args:
        alpha: share of the classes, in (0, 1].
    """

    looks_across_batch: ClassVar[bool] = True

    def __init__(
        self,
        *,
        alpha: Annotated[
            float, Option("share of the classes, the worst ones", low=0, low_open=True, high=1, source="CFOL's baseline 0.2")
        ] = 0.2,
    ) -> None:
        super().__init__()
        self.alpha = alpha

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Sum over the classes of p_k times their mean loss, a scalar."""
        total = terms.total()
        means, counts = class_means(total, labels, terms.adversarial_logits.shape[1], all_reduce=self.all_reduce)
        return weighted_class_means(total, labels, cvar_weights(means, counts > 0, self.alpha), counts)
