"""The two examples on either side of the decision boundary, in one pass of the attack."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairart.attacks.common import ClipValues, Model, frozen, kl_divergence, make_region, per_sample
from fairart.attacks.pgd import draw_start

__all__ = ["boundary_pgd"]


def boundary_pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Tensor,
    eps_step: float | Tensor,
    max_iter: int,
    tau: int = 1,
    start: Tensor | None = None,
    reference: Tensor | None = None,
    clip_values: ClipValues = (0.0, 1.0),
    generator: torch.Generator | None = None,
    norm: float | str = math.inf,
) -> tuple[Tensor, Tensor]:
    """KL-PGD that keeps, for each sample, the last clean and the first adversarial iterate (BAT, AAAI 2023).

    The authors' program attacks twice, each time from its own random start. Costs ``max_iter`` forward passes and as many input
    gradients, and one forward more without a ``reference``: the iterate after the last step is not looked at, and taken for
    clean where none before it was misclassified. Shapes are fixed and nothing is read back from the device.

    Args:
        model: logits (n, K) of inputs; its parameters take no gradient meanwhile. Its train or eval mode is used as it is.
        x: (n, ...) clean inputs.
        y: (n,) true labels.
        eps: radius of the ball, a number or (n,), >= 0.
        eps_step: step, a number or (n,), >= 0.
        max_iter: number of steps, >= 0.
        tau: steps taken after the first misclassified iterate, >= 0.
        start: (n, ...) where to start; x + 0.001 N(0, 1) by default.
        reference: (n, K) clean logits.
        clip_values: smallest and largest value of an input.
        generator: random state of the start.
        norm: that eps and step are measured in, inf or 2; in L2 a step follows the gradient at the step's length.

    Returns:
        ``last_clean``: the iterate before the first misclassified one, the start where that is misclassified already, the last
        iterate where none is; ``first_adversarial``: the first misclassified iterate moved on by ``tau`` steps, as far as the
        steps last, the last iterate where none is. Both (n, ...), within eps and clip values, detached.

    Raises:
        ValueError: a negative ``tau``, ``max_iter``, eps or step, or another norm.
    """
    if tau < 0 or max_iter < 0:
        raise ValueError(f"tau and max_iter must be >= 0, got {tau!r} and {max_iter!r}")
    step, region = per_sample(eps_step, x, "eps_step"), make_region(x, eps, clip_values, norm)
    shape = (-1, *[1] * (x.ndim - 1))
    extra, fooled = torch.zeros_like(y), torch.zeros_like(y, dtype=torch.bool)
    with frozen(model):
        if reference is None:
            with torch.no_grad():
                reference = model(x)
        x_adv = draw_start(x, per_sample(eps, x, "eps"), "kl", generator, norm) if start is None else start
        x_adv = last_clean = region.project(x_adv.detach())
        for _ in range(max_iter):
            inputs = x_adv.detach().requires_grad_(True)
            with torch.enable_grad():
                logits = model(inputs)
                (gradient,) = torch.autograd.grad(kl_divergence(logits, reference.detach()).sum(), inputs)
            fooled = fooled | (logits.argmax(dim=1) != y)
            last_clean = torch.where(fooled.view(shape), last_clean, x_adv)
            active = ~fooled | (extra < tau)
            extra = extra + (fooled & active)
            moved = region.move(x_adv, gradient, step)
            x_adv = torch.where(active.view(shape), moved, x_adv)
    return torch.where(fooled.view(shape), last_clean, x_adv).detach(), x_adv.detach()
