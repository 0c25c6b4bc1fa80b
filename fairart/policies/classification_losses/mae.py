"""Mean absolute error of the probabilities: a wrong label pulls no harder than a right one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fairart.policies.classification_losses.base import ClassificationLoss, label_shares

__all__ = ["MeanAbsoluteErrorLoss"]


class MeanAbsoluteErrorLoss(ClassificationLoss):
    """sum_k |p_k - q_k|, which is 2 - 2 p_y for one true class (Ghosh, Kumar, Sastry, AAAI 2017).

    Symmetric label noise below (K - 1) / K leaves its minimiser where it is. Its gradient is small where the network is wrong
    with confidence: it learns slowly, most of all with many classes.
    """

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Absolute error of each sample, (n,), in [0, 2]."""
        p = F.softmax(logits, dim=1)
        return (p - label_shares(labels, p, label_smoothing)).abs().sum(dim=1)
