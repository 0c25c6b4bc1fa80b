"""Projected gradient descent and the fast gradient method, in the L-inf and the L2 ball."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fairart import draws
from fairart.attacks.common import (
    ClipValues,
    Model,
    frozen,
    in_unit_ball,
    input_gradient,
    kl_divergence,
    make_region,
    order_of,
    per_sample,
)

__all__ = ["draw_start", "fgsm", "pgd", "signed_cross_entropy"]

KL_START = 0.001
"""Standard deviation of the normal start of KL attacks (TRADES): at the clean input itself their gradient is zero."""


def draw_start(x: Tensor, eps: Tensor, loss: str, generator: torch.Generator | None, norm: float | str = math.inf) -> Tensor:
    """Draw where an attack starts: uniform in the ball for CE (Madry), a small normal step for KL (TRADES).

    Args:
        x: (n, ...) clean inputs.
        eps: radius that broadcasts against ``x``.
        loss: ``"ce"`` or ``"kl"``.
        generator: random state on the device of ``x``; None for torch's global one.
        norm: of the ball, inf or 2; the normal step is the same in both, as in TRADES' program.
    """
    if loss == "kl":
        noise = draws.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return x + KL_START * noise
    if order_of(norm) == 2:
        normal = draws.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        uniform = draws.rand(x.shape[:1], generator=generator, device=x.device, dtype=x.dtype)
        return x + eps * in_unit_ball(normal, uniform)
    noise = draws.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + eps * (2 * noise - 1)


def signed_cross_entropy(logits: Tensor, y: Tensor, targeted: bool | Tensor) -> Tensor:
    """What an attack ascends: the summed cross-entropy, negative for the samples that aim at their ``y``.

    Args:
        logits: (n, K).
        y: (n,) labels, or targets where ``targeted``; or (n, K) shares of the classes.
        targeted: for all samples, or (n,) bool.
    """
    if isinstance(targeted, Tensor):
        losses = F.cross_entropy(logits, y, reduction="none")
        return torch.where(targeted, -losses, losses).sum()
    total = F.cross_entropy(logits, y, reduction="sum")
    return -total if targeted else total


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor | None,
    *,
    eps: float | Tensor,
    eps_step: float | Tensor,
    max_iter: int,
    targeted: bool | Tensor = False,
    loss: Literal["ce", "kl"] = "ce",
    start: Tensor | None = None,
    reference: Tensor | None = None,
    clip_values: ClipValues = (0.0, 1.0),
    generator: torch.Generator | None = None,
    norm: float | str = math.inf,
) -> Tensor:
    """Projected gradient descent (Madry et al., ICLR 2018; KL form: TRADES, ICML 2019).

    In L-inf a step follows the sign of the input gradient; in L2 the gradient itself, each sample's at the length of the step.

    Costs ``max_iter`` forward passes and as many input gradients; the KL form one forward more without a ``reference``.

    Args:
        model: logits (n, K) of inputs; the parameters of a module take no gradient meanwhile. Its train or eval mode is used
            as it is.
        x: (n, ...) clean inputs.
        y: (n,) labels to move away from, or targets to move towards, or (n, K) shares of the classes; may be None with
            ``loss="kl"``.
        eps: radius of the ball, a number or (n,), in the units of ``x``, >= 0.
        eps_step: step, a number or (n,), >= 0.
        max_iter: number of steps, >= 0.
        targeted: whether ``y`` are targets, for all samples or (n,) bool.
        loss: ``"ce"``, or ``"kl"`` to the prediction on the clean input. With ``"kl"`` and ``targeted`` of shape (n,), targeted
            samples descend the cross-entropy of ``y`` and the others climb the KL.
        start: (n, ...) where to start; drawn by default (see :func:`draw_start`).
        reference: (n, K) clean logits for ``loss="kl"``.
        clip_values: smallest and largest value of an input.
        generator: random state of the start.
        norm: that eps and step are measured in, inf or 2.

    Returns:
        (n, ...) adversarial inputs within eps and clip values, detached.

    Raises:
        ValueError: a negative or wrongly shaped eps or step, a negative ``max_iter``, an unknown loss or norm, or no ``y`` for
            CE.
    """
    if max_iter < 0:
        raise ValueError(f"max_iter must be >= 0, got {max_iter!r}")
    if loss not in ("ce", "kl"):
        raise ValueError(f"loss must be 'ce' or 'kl', got {loss!r}")
    if loss == "ce" and y is None:
        raise ValueError("loss='ce' needs labels or targets y, got None")
    step = per_sample(eps_step, x, "eps_step")
    region = make_region(x, eps, clip_values, norm)
    with frozen(model):
        if loss == "kl" and reference is None:
            with torch.no_grad():
                reference = model(x)

        def objective(inputs: Tensor) -> Tensor:
            logits = model(inputs)
            if loss == "kl" and reference is not None:
                divergence = kl_divergence(logits, reference.detach())
                if y is None or not isinstance(targeted, Tensor):
                    return divergence.sum()
                return torch.where(targeted, -F.cross_entropy(logits, y, reduction="none"), divergence).sum()
            return signed_cross_entropy(logits, y, targeted)  # type: ignore[arg-type]  # checked above

        x_adv = draw_start(x, per_sample(eps, x, "eps"), loss, generator, norm) if start is None else start
        x_adv = region.project(x_adv.detach())
        for _ in range(max_iter):
            x_adv = region.move(x_adv, input_gradient(objective, x_adv), step)
    return x_adv.detach()


def fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Tensor,
    targeted: bool | Tensor = False,
    start: Tensor | None = None,
    clip_values: ClipValues = (0.0, 1.0),
    norm: float | str = math.inf,
) -> Tensor:
    """One full step from the clean input, the fast gradient (sign) method (Goodfellow et al., ICLR 2015).

    Args:
        model: logits (n, K) of inputs.
        x: (n, ...) clean inputs.
        y: (n,) labels, or targets where ``targeted``.
        eps: radius and step, a number or (n,), in the units of ``x``, >= 0.
        targeted: whether ``y`` are targets, for all samples or (n,) bool.
        start: (n, ...) where to start; the clean input by default.
        clip_values: smallest and largest value of an input.
        norm: that eps is measured in, inf or 2.

    Returns:
        (n, ...) adversarial inputs within eps and clip values, detached.
    """
    first = x if start is None else start
    return pgd(
        model,
        x,
        y,
        eps=eps,
        eps_step=eps,
        max_iter=1,
        targeted=targeted,
        start=first,
        clip_values=clip_values,
        norm=norm,
    )
