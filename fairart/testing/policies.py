"""Checks of everything that is planned between epochs: samplers, schedulers, weightings, averagings, perturbations."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairart.objectives.answers import checked_loss, checked_targets
from fairart.policies import (
    Averaging,
    ClassificationLoss,
    ClassSampling,
    ClassWeighting,
    EpsilonScheduler,
    LossTerms,
    Policy,
    TargetSampler,
    WeightPerturbation,
)
from fairart.statistics import Groups
from fairart.testing.rules import CLASSES, expect, is_plain, require, same_rules, same_state, statistics_examples

__all__ = [
    "check_averaging",
    "check_class_sampling",
    "check_class_weighting",
    "check_classification_loss",
    "check_epsilon_scheduler",
    "check_target_sampler",
    "check_weight_perturbation",
]


def _check_state(policy: Policy, fresh: Policy) -> None:
    state = policy.state_dict()
    name = type(policy).__name__
    require(is_plain(state), f"{name}: state_dict() may hold numbers, text, lists and tensors alone, so that checkpoints can")
    fresh.load_state_dict(copy.deepcopy(state))
    require(same_state(state, fresh.state_dict()), f"{name}: load_state_dict(state_dict()) lost something")


def check_target_sampler(sampler: TargetSampler) -> None:
    """Check that a target sampler keeps the rules.

    Args:
        sampler: the sampler; a copy of it is used.

    Raises:
        AssertionError: targets outside the classes, of the wrong shape or not repeatable, lost state.
        PolicyError: ``class_weights`` broke a rule of its own.
    """
    expect(sampler, TargetSampler)
    for nb_classes in CLASSES:
        mine = copy.deepcopy(sampler)
        mine.start(nb_classes)
        _check_targets(mine, nb_classes)
        for statistics in statistics_examples(nb_classes):
            mine.update(statistics)
            _check_targets(mine, nb_classes)
        other = copy.deepcopy(sampler)
        _check_state(mine, other)


def _check_targets(sampler: TargetSampler, nb_classes: int) -> None:
    labels = torch.arange(nb_classes).repeat_interleave(64)
    logits = torch.randn(len(labels), nb_classes, generator=torch.Generator().manual_seed(1))
    first, second = (sampler.sample(labels, logits=logits, generator=torch.Generator().manual_seed(2)) for _ in range(2))
    name = type(sampler).__name__
    with same_rules():
        checked_targets(sampler, first, labels)
    require(bool((first >= 0).all() and (first < nb_classes).all()), f"{name}: targets must lie in [0, {nb_classes})")
    require(torch.equal(first, second), f"{name}: the same generator state must give the same targets")


def check_epsilon_scheduler(scheduler: EpsilonScheduler) -> None:
    """Check that an epsilon scheduler keeps the rules.

    Args:
        scheduler: the scheduler; a copy of it is used.

    Raises:
        AssertionError: no finite (K,) budgets >= 0, budgets that do not scale with the base, lost state.
        PolicyError: ``epsilons`` or ``steps`` broke a rule of its own.
    """
    expect(scheduler, EpsilonScheduler)
    name = type(scheduler).__name__
    for nb_classes in CLASSES:
        mine, double = copy.deepcopy(scheduler), copy.deepcopy(scheduler)
        mine.start(nb_classes, 0.1, 0.025)
        double.start(nb_classes, 0.2, 0.05)
        for statistics in statistics_examples(nb_classes):
            mine.update(statistics)
            double.update(statistics)
            for plan in (mine.current, mine.current_step):
                require(plan is not None and plan.shape == (nb_classes,), f"{name}: expected a plan of shape (K,)")
            require(
                mine.current is not None and double.current is not None and np.allclose(2 * mine.current, double.current),
                f"{name}: twice the base budget must give twice the class budgets, so that eps keeps its unit",
            )
        _check_state(mine, copy.deepcopy(scheduler))


def check_class_weighting(weighting: ClassWeighting) -> None:
    """Check that a class weighting keeps the rules.

    Args:
        weighting: the weighting; a copy of it is used.

    Raises:
        AssertionError: a loss that is no finite scalar, that passes no gradient on, or lost state.
        PolicyError: ``weights`` broke a rule of its own.
    """
    expect(weighting, ClassWeighting)
    for nb_classes in CLASSES:
        mine = copy.deepcopy(weighting)
        mine.class_counts = np.arange(1, nb_classes + 1, dtype=np.int64) * 5
        mine.start(nb_classes)
        _check_loss(mine, nb_classes)
        for statistics in statistics_examples(nb_classes):
            mine.before_epoch(statistics.robust)
            _check_loss(mine, nb_classes)
            mine.update(statistics)
            _check_loss(mine, nb_classes)
        _check_state(mine, copy.deepcopy(weighting))
    if weighting.takes_groups:
        _check_groups(copy.deepcopy(weighting))


def _check_groups(weighting: ClassWeighting) -> None:
    """A weighting of groups, one of which is in no batch, names the weight of each."""
    weighting.groups = Groups.of(np.arange(24) % 5, name="site")
    weighting.start(3)
    _check_loss(weighting, 3, groups=torch.arange(32) % 4)
    weights, name = weighting.group_weights(), type(weighting).__name__
    good = weights is not None and all(isinstance(value, float) and math.isfinite(value) for value in weights.values())
    require(good and len(weights or ()) > 0, f"{name}: group_weights() must name a finite weight for each group")
    other = copy.deepcopy(weighting)
    other.load_state_dict(copy.deepcopy(weighting.state_dict()))
    require(other.group_weights() == weights, f"{name}: group_weights() must be the same after load_state_dict(state_dict())")


def check_class_sampling(sampling: ClassSampling) -> None:
    """Check that a class sampling keeps the rules, with classes of different size and one without training samples.

    Args:
        sampling: the sampling; a copy of it is used.

    Raises:
        AssertionError: probabilities that are no (K,) float64 tensor, do not sum to 1, draw a class without samples or never
            draw one that has some; lost state.
        PolicyError: ``probabilities`` broke a rule of its own.
    """
    expect(sampling, ClassSampling)
    for nb_classes in CLASSES:
        mine = copy.deepcopy(sampling)
        mine.class_counts = np.arange(nb_classes, dtype=np.int64) * 5 + (nb_classes == 2)
        mine.start(nb_classes)
        _check_probabilities(mine, nb_classes)
        for statistics in statistics_examples(nb_classes):
            labels, random = torch.arange(1, nb_classes), torch.Generator().manual_seed(5)
            mine.batch_end(labels, torch.randn(len(labels), nb_classes, generator=random))
            _check_probabilities(mine, nb_classes)
            mine.update(statistics)
            _check_probabilities(mine, nb_classes)
        other = copy.deepcopy(sampling)
        other.class_counts = mine.class_counts
        _check_state(mine, other)
        same = torch.equal(mine.in_force(torch.device("cpu")), other.in_force(torch.device("cpu")))
        require(same, f"{type(mine).__name__}: in_force() must be the same after load_state_dict(state_dict())")


def _check_probabilities(sampling: ClassSampling, nb_classes: int) -> None:
    name, chances = type(sampling).__name__, sampling.in_force(torch.device("cpu"))
    good = isinstance(chances, Tensor) and chances.shape == (nb_classes,) and chances.dtype == torch.float64
    require(good, f"{name}: in_force() must give a float64 tensor ({nb_classes},)")
    require(bool(torch.isfinite(chances).all()), f"{name}: in_force() must be finite")
    require(abs(float(chances.sum()) - 1) < 1e-6, f"{name}: in_force() must sum to 1, got {float(chances.sum()):g}")
    absent = torch.as_tensor(~sampling.present)
    require(not bool(chances[absent].any()), f"{name}: a class without training samples must have probability 0")
    require(bool((chances[~absent] > 0).all()), f"{name}: a class with training samples must have a probability > 0")


def _check_loss(weighting: ClassWeighting, nb_classes: int, groups: Tensor | None = None) -> None:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(nb_classes, (32,), generator=random)
    logits = torch.randn(32, nb_classes, generator=random).requires_grad_(True)
    natural = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for boundary in (None, logits.square().mean(dim=1)):
        if boundary is None and weighting.needs_boundary:
            continue
        terms = LossTerms(natural=natural, boundary=boundary, beta=6.0, adversarial_logits=logits, groups=groups)
        name = type(weighting).__name__
        with same_rules():
            loss = checked_loss(weighting, weighting.combine(terms, labels))
            with torch.no_grad():
                weighting.batch_end(terms, labels)
        require(math.isfinite(loss.item()), f"{name}: combine() must give a finite scalar")
        if not weighting.looks_across_batch:
            _check_parts(weighting, terms, labels, loss.item())
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        require(bool(torch.isfinite(gradient).all()), f"{name}: combine() must pass finite gradients on")


def _check_parts(weighting: ClassWeighting, terms: LossTerms, labels: Tensor, whole: float) -> None:
    """What several devices and gradient accumulation rely on: the loss of a batch is the mean over its parts."""
    number, total = len(labels), 0.0
    for rows in (slice(0, number // 3), slice(number // 3, number)):
        tensors: dict[str, Any] = {key: value[rows] for key, value in vars(terms).items() if isinstance(value, Tensor)}
        part = weighting.combine(dataclasses.replace(terms, **tensors), labels[rows])
        total += part.item() * (rows.stop - rows.start) / number
    require(
        math.isclose(total, whole, rel_tol=1e-4, abs_tol=1e-6),
        f"{type(weighting).__name__}: combine() gives another loss for a batch than for its parts together: sum what "
        "looks across the batch by self.all_reduce(), and set looks_across_batch = True",
    )


def check_classification_loss(loss: ClassificationLoss) -> None:
    """Check that a classification loss keeps the rules, with classes of different size and one without training samples.

    Args:
        loss: the loss; a copy of it is used.

    Raises:
        AssertionError: no finite loss a sample, no gradient, labels as shares that give another loss than the labels themselves
            although it takes them, lost state.
    """
    expect(loss, ClassificationLoss)
    for nb_classes in CLASSES:
        mine = copy.deepcopy(loss)
        mine.class_counts = np.arange(nb_classes, dtype=np.int64) * 5 + (nb_classes == 2)
        mine.start(nb_classes)
        for statistics in statistics_examples(nb_classes):
            _check_classification(mine, nb_classes)
            mine.update(statistics)
        _check_state(mine, copy.deepcopy(loss))


def _check_classification(loss: ClassificationLoss, nb_classes: int) -> None:
    name, random = type(loss).__name__, torch.Generator().manual_seed(7)
    labels = torch.randint(nb_classes, (32,), generator=random)
    logits = (5 * torch.randn(32, nb_classes, generator=random)).requires_grad_(True)
    for smoothing in (0.0, 0.1) if loss.takes_label_smoothing else (0.0,):
        losses = loss.losses(logits, labels, smoothing)
        require(losses.shape == (32,), f"{name}: losses() must give one loss a sample, (n,)")
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        finite = bool(torch.isfinite(losses).all() and torch.isfinite(gradient).all())
        require(finite, f"{name}: losses() must be finite and pass finite gradients on")
        if loss.takes_soft_labels:
            shares = nn.functional.one_hot(labels, nb_classes).to(logits.dtype)
            same = torch.allclose(loss.losses(logits, shares, smoothing), losses, atol=1e-5)
            require(same, f"{name}: labels as shares (n, K) of one class each must give the loss of the labels")


def check_averaging(averaging: Averaging) -> None:
    """Check that an averaging keeps the rules.

    Args:
        averaging: the averaging; a copy of it is used.

    Raises:
        AssertionError: the given weights were changed or kept, names were lost, numbers are not finite, lost state.
        PolicyError: ``accepts`` raised.
    """
    expect(averaging, Averaging)
    mine, name = copy.deepcopy(averaging), type(averaging).__name__
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    for statistics in statistics_examples(3, epochs=8):
        before = copy.deepcopy(model.state_dict())
        taken = mine.update(model.state_dict(), statistics)
        require(isinstance(taken, bool), f"{name}: update() must say whether the epoch was taken in")
        require(same_state(before, dict(model.state_dict())), f"{name}: update() must not change the given weights")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
    if mine.average is not None:
        require(mine.average.keys() == model.state_dict().keys(), f"{name}: the average must have every weight")
        finite = all(bool(torch.isfinite(value).all()) for value in mine.average.values() if value.is_floating_point())
        require(finite, f"{name}: the average must be finite")
    _check_state(mine, copy.deepcopy(averaging))


def check_weight_perturbation(perturbation: WeightPerturbation) -> None:
    """Check that a weight perturbation keeps the rules.

    Args:
        perturbation: the perturbation; a copy of it is used.

    Raises:
        AssertionError: weights not put back bit for bit, also after an error; buffers or gradients touched; a loss that is not
            finite; lost state.
    """
    expect(perturbation, WeightPerturbation)
    mine, name = copy.deepcopy(perturbation), type(perturbation).__name__
    random = torch.Generator().manual_seed(6)
    x, y = torch.rand(12, 5, generator=random), torch.arange(12) % 3
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def loss() -> Tensor:
        return nn.functional.cross_entropy(module(x), y)

    for epoch in (0, 1, 100):
        before = copy.deepcopy(module.state_dict())
        with mine.perturbed(module, loss, epoch=epoch):
            same = all(torch.equal(before[key], value) for key, value in module.named_buffers())
            require(same, f"{name}: perturbed() must leave buffers, such as batch-norm statistics, where they were")
            require(all(p.grad is None for p in module.parameters()), f"{name}: perturbed() must leave no gradient behind")
            require(all(p.requires_grad for p in module.parameters()), f"{name}: perturbed() must leave requires_grad alone")
            buffers = {key: value.clone() for key, value in module.named_buffers()}
            require(math.isfinite(loss().item()), f"{name}: the loss must stay finite at the moved weights")
            module.load_state_dict(buffers, strict=False)
        require(same_state(before, dict(module.state_dict())), f"{name}: perturbed() must put every weight back exactly")
        with contextlib.suppress(_DeliberateError), mine.perturbed(module, loss, epoch=epoch):
            raise _DeliberateError
        require(same_state(before, dict(module.state_dict())), f"{name}: perturbed() must put weights back after an error")
    _check_state(mine, copy.deepcopy(perturbation))


class _DeliberateError(Exception):
    """Raised by a check, to see what is put back."""
