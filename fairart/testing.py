"""Conformance checks that a plugin author runs on a policy, as scikit-learn's ``check_estimator`` does.

Each check runs a policy through several epochs with 2, 3 and 10 classes, with a class that is absent and one that is never
right, and raises ``AssertionError`` that says which rule was broken::

    from fairart.testing import check_target_sampler

    def test_sampler():
        check_target_sampler(InverseAccuracySampler())

The policy handed in is copied, never changed. The built-ins pass the same checks.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairart.objectives import Batch, Objective
from fairart.policies import (
    Averaging,
    ClassWeighting,
    EpsilonScheduler,
    LossTerms,
    Policy,
    TargetSampler,
    WeightPerturbation,
)
from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics

__all__ = [
    "check_averaging",
    "check_class_weighting",
    "check_epsilon_scheduler",
    "check_fairness_metric",
    "check_objective",
    "check_target_sampler",
    "check_weight_perturbation",
    "statistics_examples",
]

CLASSES = (2, 3, 10)
EPOCHS = 4


def statistics_examples(nb_classes: int, *, epochs: int = EPOCHS, seed: int = 0) -> Iterator[EpochStatistics]:
    """Statistics of epochs as the engine gives them, hard cases included.

    Args:
        nb_classes: K.
        epochs: how many; every fourth has an absent class, every fourth one without any error.
        seed: of the counts.
    """
    random = np.random.default_rng([seed, nb_classes])
    for epoch in range(epochs):
        counts = random.integers(0, 20, (nb_classes, nb_classes)) + np.diag(random.integers(0, 60, nb_classes))
        if epoch % 4 == 1:
            counts[0] = 0
        if epoch % 4 == 2:
            counts = np.diag(np.full(nb_classes, 7))
        robust = ConfusionMatrix(counts)
        clean = ConfusionMatrix(counts + np.diag(np.full(nb_classes, 5)))
        yield EpochStatistics(
            epoch=epoch,
            nb_epochs=epochs,
            robust=robust,
            clean=clean,
            validation=ValidationStatistics(
                clean=clean,
                robust=ConfusionMatrix(counts + 1),
                natural_loss=random.random(nb_classes),
                boundary_loss=random.random(nb_classes),
            ),
            mean_probabilities=random.dirichlet(np.ones(nb_classes), nb_classes),
        )


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(rule)


def _expect(policy: Policy, base: type[Policy]) -> None:
    _require(isinstance(policy, base), f"expected an instance of {base.__module__}.{base.__name__}, got {policy!r}")


def _same_state(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same_state(one[key], other[key]) for key in one)
    return bool(one == other)


def _check_state(policy: Policy, fresh: Policy) -> None:
    state = policy.state_dict()
    fresh.load_state_dict(copy.deepcopy(state))
    _require(_same_state(state, fresh.state_dict()), f"{type(policy).__name__}: load_state_dict(state_dict()) lost something")


def check_target_sampler(sampler: TargetSampler) -> None:
    """Check that a target sampler keeps the rules.

    Args:
        sampler: the sampler; a copy of it is used.

    Raises:
        AssertionError: targets outside the classes, of the wrong shape or not repeatable, lost state.
        PolicyError: ``class_weights`` broke a rule of its own.
    """
    _expect(sampler, TargetSampler)
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
    _require(isinstance(first, Tensor) and first.shape == labels.shape, f"{name}: sample() must give a tensor (n,)")
    _require(not first.is_floating_point(), f"{name}: sample() must give integer classes, got {first.dtype}")
    _require(bool((first >= 0).all() and (first < nb_classes).all()), f"{name}: targets must lie in [0, {nb_classes})")
    _require(torch.equal(first, second), f"{name}: the same generator state must give the same targets")


def check_epsilon_scheduler(scheduler: EpsilonScheduler) -> None:
    """Check that an epsilon scheduler keeps the rules.

    Args:
        scheduler: the scheduler; a copy of it is used.

    Raises:
        AssertionError: no finite (K,) budgets >= 0, budgets that do not scale with the base, lost state.
        PolicyError: ``epsilons`` or ``steps`` broke a rule of its own.
    """
    _expect(scheduler, EpsilonScheduler)
    name = type(scheduler).__name__
    for nb_classes in CLASSES:
        mine, double = copy.deepcopy(scheduler), copy.deepcopy(scheduler)
        mine.start(nb_classes, 0.1, 0.025)
        double.start(nb_classes, 0.2, 0.05)
        for statistics in statistics_examples(nb_classes):
            mine.update(statistics)
            double.update(statistics)
            for plan in (mine.current, mine.current_step):
                _require(plan is not None and plan.shape == (nb_classes,), f"{name}: expected a plan of shape (K,)")
            _require(
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
    _expect(weighting, ClassWeighting)
    for nb_classes in CLASSES:
        mine = copy.deepcopy(weighting)
        mine.start(nb_classes)
        _check_loss(mine, nb_classes)
        for statistics in statistics_examples(nb_classes):
            mine.update(statistics)
            _check_loss(mine, nb_classes)
        _check_state(mine, copy.deepcopy(weighting))


def _check_loss(weighting: ClassWeighting, nb_classes: int) -> None:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(nb_classes, (32,), generator=random)
    logits = torch.randn(32, nb_classes, generator=random).requires_grad_(True)
    natural = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for boundary in (None, logits.square().mean(dim=1)):
        if boundary is None and weighting.needs_boundary:
            continue
        terms = LossTerms(natural=natural, boundary=boundary, beta=6.0, adversarial_logits=logits)
        loss = weighting.combine(terms, labels)
        name = type(weighting).__name__
        _require(loss.ndim == 0 and math.isfinite(loss.item()), f"{name}: combine() must give a finite scalar")
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        _require(bool(torch.isfinite(gradient).all()), f"{name}: combine() must pass finite gradients on")


def check_averaging(averaging: Averaging) -> None:
    """Check that an averaging keeps the rules.

    Args:
        averaging: the averaging; a copy of it is used.

    Raises:
        AssertionError: weights handed in were changed or kept, names were lost, numbers are not finite, lost state.
        PolicyError: ``accepts`` raised.
    """
    _expect(averaging, Averaging)
    mine, name = copy.deepcopy(averaging), type(averaging).__name__
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    for statistics in statistics_examples(3, epochs=8):
        before = copy.deepcopy(model.state_dict())
        taken = mine.update(model.state_dict(), statistics)
        _require(isinstance(taken, bool), f"{name}: update() must say whether the epoch was taken in")
        _require(_same_state(before, dict(model.state_dict())), f"{name}: update() must not change the weights handed in")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
    if mine.average is not None:
        _require(mine.average.keys() == model.state_dict().keys(), f"{name}: the average must have every weight")
        finite = all(bool(torch.isfinite(value).all()) for value in mine.average.values() if value.is_floating_point())
        _require(finite, f"{name}: the average must be finite")
    _check_state(mine, copy.deepcopy(averaging))


def check_weight_perturbation(perturbation: WeightPerturbation) -> None:
    """Check that a weight perturbation keeps the rules.

    Args:
        perturbation: the perturbation; a copy of it is used.

    Raises:
        AssertionError: weights not put back bit for bit, also after an error; buffers or gradients touched; a loss that is not
            finite; lost state.
    """
    _expect(perturbation, WeightPerturbation)
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
            _require(same, f"{name}: perturbed() must leave buffers, such as batch-norm statistics, where they were")
            _require(all(p.grad is None for p in module.parameters()), f"{name}: perturbed() must leave no gradient behind")
            _require(all(p.requires_grad for p in module.parameters()), f"{name}: perturbed() must leave requires_grad alone")
            buffers = {key: value.clone() for key, value in module.named_buffers()}
            _require(math.isfinite(loss().item()), f"{name}: the loss must stay finite at the moved weights")
            module.load_state_dict(buffers, strict=False)
        _require(_same_state(before, dict(module.state_dict())), f"{name}: perturbed() must put every weight back exactly")
        with contextlib.suppress(_DeliberateError), mine.perturbed(module, loss, epoch=epoch):
            raise _DeliberateError
        _require(_same_state(before, dict(module.state_dict())), f"{name}: perturbed() must put weights back after an error")
    _check_state(mine, copy.deepcopy(perturbation))


class _DeliberateError(Exception):
    """Raised by a check, to see what is put back."""


def check_objective(objective: Objective) -> None:
    """Check that an objective keeps the rules on a small network.

    Args:
        objective: the objective; a copy of it is used.

    Raises:
        AssertionError: examples of another shape or outside the budget, losses that are not (n,) or not finite, gradients left
            on the parameters by the attack.
    """
    _expect(objective, Objective)
    name = type(objective).__name__
    for targets in (None, "others") if objective.takes_targets else (None,):
        mine, random = copy.deepcopy(objective), torch.Generator().manual_seed(4)
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        x, y = torch.rand(12, 1, 4, 4, generator=random), torch.arange(12) % 3
        eps = torch.where(y == 0, 0.0, 0.1)
        batch = Batch(x=x, y=y, eps=eps, eps_step=eps / 4, max_iter=3, targets=(y + 1) % 3 if targets else None, generator=random)
        made = mine.examples(network, batch)
        examples = (made,) if isinstance(made, Tensor) else made
        _require(all(p.grad is None for p in network.parameters()), f"{name}: examples() must leave no parameter gradient")
        for one in examples:
            _check_example(name, one, batch)
        _check_terms(name, mine.losses(network, batch, tuple(one.detach() for one in examples)), network)


def _check_example(name: str, x_adv: Tensor, batch: Batch) -> None:
    _require(x_adv.shape == batch.x.shape, f"{name}: examples() must keep the shape, got {tuple(x_adv.shape)}")
    distance = (x_adv - batch.x).abs().flatten(1).amax(dim=1)
    _require(bool((distance <= batch.eps + 1e-6).all()), f"{name}: examples() must stay within each sample's eps")
    _require(bool((x_adv >= 0).all() and (x_adv <= 1).all()), f"{name}: examples() must stay within the clip values")


def _check_terms(name: str, terms: LossTerms, network: nn.Module) -> None:
    for part in (terms.natural, terms.boundary, terms.extra):
        _require(part is None or part.shape == terms.natural.shape == (12,), f"{name}: losses() must give one loss a sample")
        _require(part is None or bool(torch.isfinite(part).all()), f"{name}: losses() must be finite")
    _require(terms.adversarial_logits.shape == (12, 3), f"{name}: losses() must give logits (n, K)")
    gradients = torch.autograd.grad(terms.total().mean(), list(network.parameters()), allow_unused=True)
    _require(any(g is not None and bool(g.any()) for g in gradients), f"{name}: losses() must reach the parameters")


def check_fairness_metric(metric: Callable[[ConfusionMatrix], float]) -> None:
    """Check that a fairness metric keeps the rules.

    Args:
        metric: a function of a confusion matrix, options filled in.

    Raises:
        AssertionError: it gives no finite number, changes the matrix, or depends on the order of the classes.
    """
    name = getattr(metric, "__name__", repr(metric))
    for nb_classes in CLASSES:
        for statistics in statistics_examples(nb_classes):
            matrix = statistics.robust
            before = matrix.counts.copy()
            value = metric(matrix)
            _require(np.array_equal(before, matrix.counts), f"{name}: the confusion matrix must not be changed")
            _require(isinstance(value, float | int) and math.isfinite(value), f"{name}: expected a finite number, got {value!r}")
            order = np.random.default_rng(5).permutation(nb_classes)
            renamed = metric(ConfusionMatrix(before[np.ix_(order, order)]))
            _require(math.isclose(value, renamed, abs_tol=1e-9), f"{name}: the order of the classes must not matter")
