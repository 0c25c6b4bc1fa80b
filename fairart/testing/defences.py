"""The check of input defences: what they give, what they draw, and whether a gradient comes back through their stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairart.errors import OptionError
from fairart.testing.evaluation import attack_target
from fairart.testing.rules import called, expect, global_random_state, require

__all__ = ["check_defence"]

SAMPLES = 9


def check_defence(defence: Any, *, input_shape: Sequence[int] = (1, 8, 8)) -> None:
    """Check that an input defence keeps the rules, on a batch, on its samples one by one, and behind a small network.

    Args:
        defence: an instance of a subclass of ``fairart.evaluation.defences.Defence``.
        input_shape: (C, H, W) of the images, for defences that need larger ones.

    Raises:
        AssertionError: it is no defence, or takes no images; what comes back has another shape, is not finite, leaves [0, 1] or
            depends on the batch; randomness that does not follow from the seeds, or seeds that change nothing although it is
            declared random, or something although it is not; the inputs were changed in place; no gradient comes back through the
            stand-in.
    """
    from fairart.evaluation.defences import Defence

    expect(defence, Defence)
    name = called(defence)
    require(
        isinstance(defence.draws, int) and defence.draws >= 1, f"{name}: draws must be a whole number >= 1, got {defence.draws!r}"
    )
    shape = (SAMPLES, *input_shape)
    target = attack_target(3, shape)
    try:
        defence.check(target.classifier)
    except OptionError as error:
        raise AssertionError(f"{name}: check() refuses images of shape {tuple(input_shape)}: {error}") from error
    # Smooth in part: what only acts on structure acts on it.
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(7))
    x = torch.cat([noise[: SAMPLES // 2], noise[SAMPLES // 2 :].cumsum(dim=-1) / shape[-1]])
    _check_values(defence, name, x)
    _check_seeds(defence, name, x)
    _check_gradient(defence, name, target, x)


def _check_values(defence: Any, name: str, x: Tensor) -> None:
    before, untouched, seeds = x.clone(), global_random_state(), tuple(range(len(x)))
    found = defence.apply(x, seeds=seeds)
    require(isinstance(found, Tensor), f"{name}: apply must give a tensor, got {type(found).__name__}")
    require(found.shape == x.shape, f"{name}: apply must give the shape {tuple(x.shape)}, got {tuple(found.shape)}")
    require(bool(torch.isfinite(found).all()), f"{name}: apply gave NaN or infinite values")
    require(bool(((found >= 0) & (found <= 1)).all()), f"{name}: apply must give values in [0, 1]")
    require(torch.equal(x, before), f"{name}: x must not be changed in place, work on a copy")
    require(untouched(), f"{name}: global random state was changed: draw from the seeds")
    alone = torch.cat([defence.apply(x[place : place + 1], seeds=(seed,)) for place, seed in enumerate(seeds)])
    require(torch.allclose(found, alone, rtol=1e-5, atol=1e-6), f"{name}: what it gives must not depend on the batch")
    for plain in (torch.zeros_like(x), torch.ones_like(x)):
        edge = defence.apply(plain, seeds=seeds)
        require(bool(torch.isfinite(edge).all()), f"{name}: black or white images gave NaN")


def _check_seeds(defence: Any, name: str, x: Tensor) -> None:
    seeds = tuple(range(len(x)))
    first, again = (defence.apply(x, seeds=seeds) for _ in range(2))
    require(torch.equal(first, again), f"{name}: the same seeds must give the same images")
    other = defence.apply(x, seeds=tuple(seed + 1000 for seed in seeds))
    if defence.random:
        require(not torch.equal(first, other), f"{name}: it is declared random, and other seeds changed nothing")
    else:
        require(torch.equal(first, other), f"{name}: it is not declared random, and other seeds changed what it gives")


def _check_gradient(defence: Any, name: str, target: Any, x: Tensor) -> None:
    from fairart.evaluation import EvaluationError
    from fairart.evaluation.defences.network import DefendedNetwork
    from fairart.evaluation.defences.specs import DefenceSpec
    from fairart.plugins import BUILTIN

    spec = DefenceSpec(label=name, name=name, plugin=BUILTIN, defence=defence)
    network = DefendedNetwork(target.network, spec, stream="checked", draws=defence.draws).eval()
    inputs = x.clone().requires_grad_(True)
    try:
        logits = network(inputs)
        plain = network(x)
    except EvaluationError as error:
        raise AssertionError(str(error)) from error
    require(torch.allclose(logits, plain), f"{name}: the value behind the stand-in must be that of apply")
    gradient = torch.autograd.grad(logits.square().sum(), inputs, allow_unused=True)[0] if logits.requires_grad else None
    reached = gradient is not None and bool(torch.isfinite(gradient).all()) and bool(gradient.abs().sum() > 0)
    require(reached, f"{name}: no finite gradient comes back through stand_in: it must be differentiable in x")
