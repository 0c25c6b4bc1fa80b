"""Classification losses: what stands in for the cross-entropy of an objective, one method a file."""

from __future__ import annotations

from fairart.policies.classification_losses.base import ClassificationLoss, CrossEntropyLoss, cross_entropy
from fairart.policies.classification_losses.focal import FocalLoss
from fairart.policies.classification_losses.gce import GeneralisedCrossEntropyLoss
from fairart.policies.classification_losses.huber import HuberLoss
from fairart.policies.classification_losses.ldam import LDAMLoss
from fairart.policies.classification_losses.mae import MeanAbsoluteErrorLoss
from fairart.policies.classification_losses.prior import BalancedSoftmaxLoss, LogitAdjustedLoss
from fairart.policies.classification_losses.sce import SymmetricCrossEntropyLoss

__all__ = [
    "BalancedSoftmaxLoss",
    "ClassificationLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GeneralisedCrossEntropyLoss",
    "HuberLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "MeanAbsoluteErrorLoss",
    "SymmetricCrossEntropyLoss",
    "cross_entropy",
]
