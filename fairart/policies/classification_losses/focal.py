"""Focal loss: samples that are right already count less."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn import functional as F

from fairart.plugins.options import Option
from fairart.policies.classification_losses.base import ClassificationLoss

__all__ = ["FocalLoss"]


class FocalLoss(ClassificationLoss):
    """(1 - p_y)^gamma CE (Lin et al., ICCV 2017, Eq. 4).

    Args:
        gamma: strength, >= 0; 0 is the cross-entropy.
    """

    takes_soft_labels: ClassVar[bool] = False
    takes_label_smoothing: ClassVar[bool] = False

    def __init__(self, *, gamma: Annotated[float, Option("strength", low=0, source="Lin et al. 2")] = 2.0) -> None:
        self.gamma = gamma

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Weighed cross-entropy of each sample, (n,)."""
        log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        # -expm1 is 1 - p without cancellation; kept from 0, where the gradient of a power below 1 is infinite.
        missing = (-log_p.expm1()).clamp_min(1e-12)
        return -(missing**self.gamma) * log_p
