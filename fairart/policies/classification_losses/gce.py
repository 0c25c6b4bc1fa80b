"""Generalised cross-entropy: between the cross-entropy and the absolute error."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from fairart.plugins.options import Option
from fairart.policies.classification_losses.base import ClassificationLoss, label_shares

__all__ = ["GeneralisedCrossEntropyLoss"]


class GeneralisedCrossEntropyLoss(ClassificationLoss):
    """(1 - p_y^q) / q (Zhang and Sabuncu, NeurIPS 2018, Eq. 6), without the paper's truncation.

    The cross-entropy as q goes to 0, half the absolute error for q = 1. For shares of the classes: the mean over them.

    Args:
        q: in (0, 1]; larger is more robust and learns more slowly.
    """

    def __init__(
        self,
        *,
        q: Annotated[
            float,
            Option("exponent: near 0 cross-entropy, 1 absolute error", low=0, low_open=True, high=1, source="Zhang et al. 0.7"),
        ] = 0.7,
    ) -> None:
        self.q = q

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Generalised cross-entropy of each sample, (n,), in [0, 1 / q]."""
        log_p = F.log_softmax(logits, dim=1)
        # From log p: p^q has an infinite slope at 0, its product with p has not. -expm1 is 1 - p^q without cancellation.
        missing = -(self.q * log_p).expm1() / self.q
        return (label_shares(labels, log_p, label_smoothing) * missing).sum(dim=1)
