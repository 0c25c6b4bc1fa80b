"""A method is a choice of parts; this is that choice, and the budget they share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fairart.engine.art_attack import ArtInnerAttack
from fairart.execution import LossScale
from fairart.objectives.base import Objective
from fairart.plugins.hookspecs import METHOD_KINDS
from fairart.policies import (
    Averaging,
    ClassificationLoss,
    ClassSampling,
    ClassWeighting,
    EpsilonScheduler,
    Policy,
    TargetSampler,
    WeightPerturbation,
)

__all__ = ["Budget", "Method"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The trainer's budget, in the classifier's input space.

    Args:
        eps: radius, >= 0.
        eps_step: attack step, >= 0.
        max_iter: attack steps, >= 0.
        norm: that eps and step are measured in, inf or 2.
    """

    eps: float
    eps_step: float
    max_iter: int
    norm: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Method:
    """The parts that make a training method.

    Args:
        objective: what one batch minimises.
        target_sampler: which classes to aim at; None for untargeted training.
        epsilon_scheduler: budget of each class.
        class_weighting: weight of each class.
        class_sampling: which classes a batch is drawn from; None for every sample once an epoch.
        classification_loss: what stands in for the cross-entropy; None for the cross-entropy.
        weight_perturbation: moves the weights while a gradient is computed, or None.
        averaging: weight averaging, or None.
        attack: an ART attack in place of the objective's own, or None.
        label_smoothing: share of each label that is spread over all classes, in [0, 1).
        gradient_clipping: largest norm of the gradient, or None.
        gradient_accumulation_steps: micro-batches that a batch is attacked and trained on in, >= 1.
        loss_scale: ``"published"``, or ``"mean-one"`` for coefficients of a sample's terms that sum to 1 in the mean of a batch.
    """

    objective: Objective
    epsilon_scheduler: EpsilonScheduler
    class_weighting: ClassWeighting
    target_sampler: TargetSampler | None = None
    class_sampling: ClassSampling | None = None
    classification_loss: ClassificationLoss | None = None
    weight_perturbation: WeightPerturbation | None = None
    averaging: Averaging | None = None
    attack: ArtInnerAttack | None = None
    label_smoothing: float = 0.0
    loss_scale: LossScale = "published"
    gradient_clipping: float | None = None
    gradient_accumulation_steps: int = 1

    def policies(self) -> Iterator[tuple[str, Policy]]:
        """Every part that has needs or memory, with its kind."""
        for kind in METHOD_KINDS:
            policy = getattr(self, kind)
            if policy is not None:
                yield kind, policy

    @property
    def needs(self) -> frozenset[str]:
        """What the engine has to measure for these parts."""
        return frozenset().union(*(policy.needs for _, policy in self.policies()))

    @property
    def draws_classes(self) -> bool:
        """Whether batches are drawn class by class, with replacement."""
        return self.class_sampling is not None and not self.class_sampling.permutes

    def takes_one_step(self, budget: Budget) -> bool:
        """Whether the inner attack takes one gradient, which may overfit catastrophically."""
        one = self.objective.single_step or budget.max_iter == 1
        return self.objective.perturbs and self.attack is None and one

    @property
    def true_logit_cut(self) -> float:
        """Share by which the pass over the training data lowers each true logit: the largest that a part asks for."""
        return max(policy.true_logit_cut for _, policy in self.policies())

    @property
    def validation_iter(self) -> int | None:
        """Steps of the attack on validation data: the most that a part asks for; None where none asks."""
        return max((policy.validation_iter for _, policy in self.policies() if policy.validation_iter is not None), default=None)
