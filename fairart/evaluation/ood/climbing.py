"""PGD that drives a number of each sample up, and keeps the best point on its way."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fairart.attacks import frozen, project
from fairart.attacks.common import make_region
from fairart.engine.network import Network
from fairart.evaluation.attacks.descent import FLAT_BATCH
from fairart.evaluation.errors import EvaluationError

__all__ = ["climb"]


def climb(
    network: Network,
    x: Tensor,
    objective: Callable[[Tensor], Tensor],
    *,
    start: Tensor,
    eps: float,
    eps_step: float,
    max_iter: int,
    norm: float = math.inf,
) -> Tensor:
    """Raise an objective within a ball around each input (Madry et al., ICLR 2018).

    The result has at least the objective of the input itself: the best of the input and of all iterates counts.

    Args:
        network: in eval mode.
        x: (n, ...) inputs in clip values.
        objective: (n, K) logits in double precision -> (n,) what is raised.
        start: (n, ...) where to start; brought into the ball.
        eps: radius, >= 0.
        eps_step: step, >= 0.
        max_iter: steps, >= 1.
        norm: that both are measured in, inf or 2.

    Returns:
        (n, ...) inputs within eps and clip values, detached.

    Raises:
        EvaluationError: no gradient reaches the input.
    """
    region = make_region(x, eps, network.clip_values, norm)
    with frozen(network):
        with torch.no_grad():
            best, value = x, objective(network(x).double())
        now = region.project(start)
        for step in range(max_iter + 1):
            inputs = now.detach().requires_grad_(True)
            with torch.enable_grad():
                values = objective(network(inputs).double())
                gradient = torch.autograd.grad(values.sum(), inputs)[0] if step < max_iter else None
            better = values.detach() > value
            best = torch.where(better.view(-1, *[1] * (x.ndim - 1)), now, best)
            value = torch.where(better, values.detach(), value)
            if gradient is None:
                break
            if step == 0 and eps > 0 and len(x) >= FLAT_BATCH and not bool(gradient.any()):
                raise EvaluationError(
                    f"PGD on a score never moved from its start on a batch of {len(x)} samples: the gradient at the input is "
                    "exactly zero. Likely causes: the model rounds, quantises or takes an argmax; a preprocessing step blocks "
                    "the gradient"
                )
            now = region.move(now, gradient, eps_step)
    return project(best.detach(), x, eps=eps, clip_values=network.clip_values, norm=norm)
