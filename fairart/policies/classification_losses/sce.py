"""Symmetric cross-entropy: the cross-entropy, and the one with label and prediction exchanged."""

from __future__ import annotations

import math
from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from fairart.plugins.options import Option
from fairart.policies.classification_losses.base import ClassificationLoss, cross_entropy, label_shares

__all__ = ["SymmetricCrossEntropyLoss"]


class SymmetricCrossEntropyLoss(ClassificationLoss):
    """alpha CE + beta RCE, RCE = -sum_k p_k log q_k with log 0 = A (Wang et al., ICCV 2019, Eqs. 5 to 7).

    For one true class RCE is -A (1 - p_y), which symmetric label noise leaves where it is. Defaults: the authors' program on
    CIFAR-10, where log 0 is log 1e-4; it has alpha 6 and beta 0.1 on CIFAR-100.

    Args:
        alpha: weight of the cross-entropy, >= 0.
        beta: weight of the reverse cross-entropy, >= 0.
        log_zero: A < 0, stands for the logarithm of a share of 0.
    """

    def __init__(
        self,
        *,
        alpha: Annotated[float, Option("weight of the cross-entropy", low=0, source="SCE 0.1")] = 0.1,
        beta: Annotated[float, Option("weight of the reverse cross-entropy", low=0, source="SCE 1")] = 1.0,
        log_zero: Annotated[
            float, Option("stands for the logarithm of a label's share of 0", high=0, high_open=True, source="SCE ln 1e-4")
        ] = math.log(1e-4),
    ) -> None:
        self.alpha, self.beta, self.log_zero = alpha, beta, log_zero

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Symmetric cross-entropy of each sample, (n,)."""
        p = F.softmax(logits, dim=1)
        log_q = label_shares(labels, p, label_smoothing).log().clamp_min(self.log_zero)
        return self.alpha * cross_entropy(logits, labels, label_smoothing) - self.beta * (p * log_q).sum(dim=1)
