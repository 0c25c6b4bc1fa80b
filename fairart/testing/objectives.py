"""The check of objectives."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import torch
from torch import Tensor, nn

from fairart.attacks.common import distances
from fairart.objectives import Batch, Objective
from fairart.objectives.answers import checked_examples, checked_terms
from fairart.policies import LossTerms
from fairart.testing.rules import expect, require, same_rules

__all__ = ["check_objective"]


def check_objective(objective: Objective) -> None:
    """Check that an objective keeps the rules on a small network, with a budget in each of its norms.

    Args:
        objective: the objective; a copy of it is used.

    Raises:
        AssertionError: examples of another shape or outside the budget, losses that are not (n,) or not finite, gradients left
            on the parameters by the attack; soft labels left out of the loss by one that says that it takes them.
    """
    expect(objective, Objective)
    name = type(objective).__name__
    aims = (None, "others") if objective.takes_targets else (None,)
    for norm, targets in itertools.product(sorted(objective.norms), aims):
        mine, random = copy.deepcopy(objective), torch.Generator().manual_seed(4)
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        x, y = torch.rand(12, 1, 4, 4, generator=random), torch.arange(12) % 3
        eps = torch.where(y == 0, 0.0, 0.1)
        batch = Batch(
            x=x,
            y=y,
            eps=eps,
            eps_step=eps / 4,
            max_iter=3,
            targets=(y + 1) % 3 if targets else None,
            norm=norm,
            generator=random,
        )
        with same_rules():
            examples = checked_examples(mine, mine.examples(network, batch), batch)
        require(all(p.grad is None for p in network.parameters()), f"{name}: examples() must leave no parameter gradient")
        for one in examples:
            _check_example(name, one, batch, mine.budget_factor)
        with same_rules():
            terms = checked_terms(mine, mine.losses(network, batch, tuple(one.detach() for one in examples)), batch, 3)
        _check_terms(name, terms, network)
        if mine.takes_soft_labels:
            _check_soft_labels(name, mine, network, batch)


def _check_soft_labels(name: str, objective: Objective, network: nn.Module, batch: Batch) -> None:
    own = torch.nn.functional.one_hot(batch.y, 3).to(batch.x.dtype)
    mixed = dataclasses.replace(batch, soft_labels=0.6 * own + 0.4 * own.roll(1, dims=1))
    with same_rules():
        examples = checked_examples(objective, objective.examples(network, mixed), mixed)
        # The same examples and one label in all samples: only the shares tell the two batches apart.
        soft, hard = (
            checked_terms(objective, objective.losses(network, one, examples), one, 3)
            for one in (mixed, dataclasses.replace(mixed, soft_labels=own))
        )
    differs = not torch.allclose(soft.total(), hard.total())
    require(differs, f"{name}: takes_soft_labels is True, and losses() does not depend on them: use batch.classification(logits)")


def _check_example(name: str, x_adv: Tensor, batch: Batch, factor: float) -> None:
    distance = distances(x_adv - batch.x, batch.norm)
    allowed = factor * batch.eps + 1e-6
    rule = f"{name}: examples() must stay within each sample's eps" + (
        f" times its budget_factor {factor:g}" if factor != 1 else ""
    )
    if batch.norm == 2:
        rule += " in L2 where batch.norm is 2, or its norms must leave 2 out"
    require(bool((distance <= allowed).all()), rule)
    require(bool((x_adv >= 0).all() and (x_adv <= 1).all()), f"{name}: examples() must stay within the clip values")


def _check_terms(name: str, terms: LossTerms, network: nn.Module) -> None:
    for part in (terms.natural, terms.boundary, terms.extra):
        require(part is None or bool(torch.isfinite(part).all()), f"{name}: losses() must be finite")
    gradients = torch.autograd.grad(terms.total().mean(), list(network.parameters()), allow_unused=True)
    require(any(g is not None and bool(g.any()) for g in gradients), f"{name}: losses() must reach the parameters")
