"""Policies: what changes between epochs. They read :class:`~fairart.statistics.EpochStatistics` and plan the next epoch."""

from __future__ import annotations

from fairart.policies.averaging import Averaging
from fairart.policies.base import Policy
from fairart.policies.class_samplings.base import ClassSampling
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.classification_losses.base import ClassificationLoss
from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.policies.target_samplers import TargetSampler
from fairart.policies.weight_perturbations.base import WeightPerturbation

__all__ = [
    "Averaging",
    "ClassSampling",
    "ClassWeighting",
    "ClassificationLoss",
    "EpsilonScheduler",
    "LossTerms",
    "Policy",
    "TargetSampler",
    "WeightPerturbation",
]
