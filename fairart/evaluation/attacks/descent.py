"""Gradient steps of PGD; a fooled sample is not computed any further."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from fairart.attacks.common import make_region
from fairart.engine.network import Network
from fairart.evaluation.errors import EvaluationError

__all__ = ["FLAT_BATCH", "Loss", "cross_entropy", "descend", "margin"]

FLAT_BATCH = 8
"""From this batch size on, a batch without any gradient is an error; a few saturated samples at the end are not."""

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Summed over the samples."""
    return F.cross_entropy(logits, y, reduction="sum")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Sum over the samples of the largest other logit less the own one (Carlini & Wagner, 2017, f6): it never saturates."""
    own = logits.gather(1, y[:, None])[:, 0]
    return (logits.scatter(1, y[:, None], -torch.inf).amax(dim=1) - own).sum()


LEAVE_AT = 1 / 8
"""Share of fooled samples from which the batch is made smaller: copying it costs as well."""


def descend(
    network: Network,
    x: Tensor,
    y: Tensor,
    *,
    start: Tensor,
    eps: float,
    eps_step: float,
    max_iter: int,
    stop: bool = True,
    loss: Loss = cross_entropy,
    norm: float = math.inf,
) -> Tensor:
    """PGD that stops for each sample at its first iterate that is classified wrongly.

    The last iterate may be right again where an earlier one was wrong: what was found counts.

    Args:
        network: in eval mode.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        start: (n, ...) where to start, inside the ball and the clip values.
        eps: radius, >= 0.
        eps_step: step, > 0.
        max_iter: steps, >= 1.
        stop: False makes every step with every sample.
        loss: what the steps raise: a number for logits (n, K) and labels (n,).
        norm: that eps and step are measured in, inf or 2.

    Returns:
        (n, ...) adversarial inputs.

    Raises:
        EvaluationError: no gradient reaches the input.
    """
    result, place = start.clone(), torch.arange(len(x), device=x.device)
    region, now = make_region(x, eps, network.clip_values, norm), start
    for step in range(max_iter):
        inputs = now.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = network(inputs)
            (gradient,) = torch.autograd.grad(loss(logits, y), inputs)
        if step == 0 and eps > 0 and len(x) >= FLAT_BATCH:
            _check_not_flat(gradient)
        moved = region.move(now, gradient, eps_step)
        if not stop:
            now = moved
            continue
        fooled = logits.argmax(dim=1) != y
        now = torch.where(fooled.view(-1, *[1] * (x.ndim - 1)), now, moved)
        if int(fooled.sum()) > LEAVE_AT * len(fooled):
            result[place], left = now, ~fooled
            place, now, y = place[left], now[left], y[left]
            region = region.rows(left)
            if not len(place):
                break
    result[place] = now
    return result


def _check_not_flat(gradient: Tensor) -> None:
    if not bool(gradient.any()):
        raise EvaluationError(
            f"PGD never moved from its start on a batch of {len(gradient)} samples: the gradient at the input is exactly zero. "
            "Surviving that is no robustness. Likely causes: the model rounds, quantises or takes an argmax; its outputs "
            "are saturated probabilities instead of logits; a preprocessing step blocks the gradient"
        )
