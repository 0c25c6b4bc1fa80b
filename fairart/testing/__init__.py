"""Conformance checks that a plugin author runs, one for every kind, as scikit-learn's ``check_estimator`` does.

Each check holds a thing against the rules of its kind, hard cases included (2, 3 and 10 classes, an absent class, a batch of
one), and raises ``AssertionError`` that says which rule was broken::

    from fairart import create
    from fairart.testing import check_target_sampler

    def test_sampler():
        check_target_sampler(create("target_sampler", "inverse-accuracy"))

Arguments are copied, never changed. The built-ins pass the same checks.
"""

from __future__ import annotations

from fairart.testing.augmentations import check_augmentation
from fairart.testing.certificates import check_certificate
from fairart.testing.datasets import check_dataset
from fairart.testing.defences import check_defence
from fairart.testing.evaluation import check_attack, check_corruption, check_fairness_metric
from fairart.testing.models import check_model
from fairart.testing.objectives import check_objective
from fairart.testing.policies import (
    check_averaging,
    check_class_sampling,
    check_class_weighting,
    check_classification_loss,
    check_epsilon_scheduler,
    check_target_sampler,
    check_weight_perturbation,
)
from fairart.testing.rules import statistics_examples
from fairart.testing.trainers import check_trainer

__all__ = [
    "check_attack",
    "check_augmentation",
    "check_averaging",
    "check_certificate",
    "check_class_sampling",
    "check_class_weighting",
    "check_classification_loss",
    "check_corruption",
    "check_dataset",
    "check_defence",
    "check_epsilon_scheduler",
    "check_fairness_metric",
    "check_model",
    "check_objective",
    "check_target_sampler",
    "check_trainer",
    "check_weight_perturbation",
    "statistics_examples",
]
