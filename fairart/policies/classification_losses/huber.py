"""Huber loss of the probabilities: squared where they are near the label, absolute where they are far from it."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from fairart.plugins.options import Option
from fairart.policies.classification_losses.base import ClassificationLoss, label_shares

__all__ = ["HuberLoss"]


class HuberLoss(ClassificationLoss):
    """sum_k h(p_k - q_k), h(r) = r^2 / 2 up to |r| = delta, then delta (|r| - delta / 2) (Huber, Ann. Math. Stat. 1964, Eq. 1.3).

    Args:
        delta: where the square ends, in (0, 1]; 1 is half the Brier score, a small one nearly delta times the absolute error.
    """

    def __init__(
        self, *, delta: Annotated[float, Option("error above which the loss is linear", low=0, low_open=True, high=1)] = 0.5
    ) -> None:
        self.delta = delta

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Huber loss of each sample, (n,)."""
        p = F.softmax(logits, dim=1)
        return F.huber_loss(p, label_shares(labels, p, label_smoothing), reduction="none", delta=self.delta).sum(dim=1)
