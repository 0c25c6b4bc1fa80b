"""Policies: what changes between epochs. They read :class:`~fairart.statistics.EpochStatistics` and plan the next epoch."""

from __future__ import annotations

from fairart.policies.averaging import Averaging
from fairart.policies.base import Policy
from fairart.policies.epsilons import EpsilonScheduler
from fairart.policies.perturbations import WeightPerturbation
from fairart.policies.targets import TargetSampler
from fairart.policies.weights import ClassWeighting, LossTerms

__all__ = ["Averaging", "ClassWeighting", "EpsilonScheduler", "LossTerms", "Policy", "TargetSampler", "WeightPerturbation"]
