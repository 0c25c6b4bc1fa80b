"""Early-stopped PGD of friendly adversarial training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairart.attacks.common import ClipValues, Model, frozen, make_region, per_sample
from fairart.attacks.pgd import draw_start, signed_cross_entropy

__all__ = ["early_stopped_pgd"]


def early_stopped_pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Tensor,
    eps_step: float | Tensor,
    max_iter: int,
    tau: int = 3,
    targets: Tensor | None = None,
    aims: Tensor | None = None,
    start: Tensor | None = None,
    clip_values: ClipValues = (0.0, 1.0),
    generator: torch.Generator | None = None,
    norm: float | str = math.inf,
) -> Tensor:
    """PGD on cross-entropy in which a sample stops ``tau`` steps after it is first misclassified (FAT, ICML 2020, Alg. 1).

    Stopped samples stay in the batch: shapes are fixed and nothing is read back from the device.

    Args:
        model: logits (n, K) of inputs; its parameters take no gradient meanwhile.
        x: (n, ...) clean inputs.
        y: (n,) true labels, which decide when a sample is misclassified.
        eps: radius of the ball, a number or (n,), >= 0.
        eps_step: step, a number or (n,), >= 0.
        max_iter: number of steps, >= 0.
        tau: steps taken after the first misclassified iterate, >= 0.
        targets: (n,) classes to move towards; a target equal to the label, or None, moves away from the label.
        aims: what the cross-entropy is taken to, (n,) classes or (n, K) shares of the classes; None for the targets, or ``y``.
        start: (n, ...) where to start; drawn uniformly in the ball by default.
        clip_values: smallest and largest value of an input.
        generator: random state of the start.
        norm: that eps and step are measured in, inf or 2; in L2 a step follows the gradient at the step's length.

    Returns:
        (n, ...) adversarial inputs within eps and clip values, detached.

    Raises:
        ValueError: a negative ``tau``, ``max_iter``, eps or step, or another norm.
    """
    if tau < 0 or max_iter < 0:
        raise ValueError(f"tau and max_iter must be >= 0, got {tau!r} and {max_iter!r}")
    step = per_sample(eps_step, x, "eps_step")
    region = make_region(x, eps, clip_values, norm)
    if aims is None:
        aims = y if targets is None else targets
    targeted: bool | Tensor = False if targets is None else targets != y
    extra = torch.zeros_like(y)
    fooled = torch.zeros_like(y, dtype=torch.bool)
    with frozen(model):
        x_adv = draw_start(x, per_sample(eps, x, "eps"), "ce", generator, norm) if start is None else start
        x_adv = region.project(x_adv.detach())
        for _ in range(max_iter):
            inputs = x_adv.requires_grad_(True)
            with torch.enable_grad():
                logits = model(inputs)
                (gradient,) = torch.autograd.grad(signed_cross_entropy(logits, aims, targeted), inputs)
            fooled = fooled | (logits.argmax(dim=1) != y)
            active = ~fooled | (extra < tau)
            extra = extra + (fooled & active)
            moved = region.move(x_adv.detach(), gradient, step)
            x_adv = torch.where(active.view(-1, *[1] * (x.ndim - 1)), moved, x_adv.detach())
    return x_adv.detach()
