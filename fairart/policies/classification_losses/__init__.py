"""Classification losses: what stands in for the cross-entropy of an objective, one method a file."""

from __future__ import annotations

from fairart.policies.classification_losses.base import ClassificationLoss, CrossEntropyLoss, cross_entropy
from fairart.policies.classification_losses.focal import FocalLoss
from fairart.policies.classification_losses.ldam import LDAMLoss
from fairart.policies.classification_losses.prior import BalancedSoftmaxLoss, LogitAdjustedLoss

__all__ = [
    "BalancedSoftmaxLoss",
    "ClassificationLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "cross_entropy",
]
