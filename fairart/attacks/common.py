"""What every inner attack shares: the box it may move in, its start, and input gradients that spare the parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Box", "ClipValues", "Model", "frozen", "kl_divergence", "make_box", "per_sample", "project"]

Model = Callable[[Tensor], Tensor]
"""Logits (n, K) of inputs (n, ...)."""

ClipValues = tuple[float | Tensor, float | Tensor] | None
"""Smallest and largest value of an input, numbers or tensors that broadcast against one sample; None for no limit."""


@contextlib.contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Switch ``requires_grad`` of a module's parameters off for a while, so that a backward pass costs input gradients only.

    Args:
        model: a module; for any other callable nothing is done.
    """
    parameters = [p for p in model.parameters() if p.requires_grad] if isinstance(model, nn.Module) else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def per_sample(value: float | Tensor, x: Tensor, name: str) -> Tensor:
    """Bring a number, or one number a sample, into a shape that broadcasts against ``x``.

    Args:
        value: a number or a tensor of shape () or (n,).
        x: (n, ...) inputs.
        name: what an error calls it.

    Raises:
        ValueError: a wrong shape, or a negative number given as a number.
    """
    if not isinstance(value, Tensor):
        if not value >= 0:
            raise ValueError(f"{name} must be >= 0, got {value!r}")
        return torch.tensor(float(value), dtype=x.dtype, device=x.device)
    if value.ndim == 0:
        return value.to(x)
    if value.shape != (len(x),):
        raise ValueError(f"{name} must be a number or one number a sample ({len(x)},), got shape {tuple(value.shape)}")
    return value.to(x).view(-1, *[1] * (x.ndim - 1))


@dataclass(frozen=True, eq=False)
class Box:
    """The values that each pixel may take: the L-inf ball around ``x`` within the clip values."""

    low: Tensor
    high: Tensor

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the box."""
        return torch.clamp(x, self.low, self.high)


def make_box(x: Tensor, eps: float | Tensor, clip_values: ClipValues) -> Box:
    """The box of an attack.

    Args:
        x: (n, ...) clean inputs.
        eps: radius, a number or (n,), in the units of ``x``, >= 0.
        clip_values: see :data:`ClipValues`.
    """
    radius = per_sample(eps, x, "eps")
    low, high = x - radius, x + radius
    if clip_values is None:
        return Box(low, high)
    floor, ceiling = (torch.as_tensor(value, dtype=x.dtype, device=x.device) for value in clip_values)
    # A clean input outside the clip values stays a point of its own box, else its projection would leave the ball.
    return Box(torch.maximum(low, torch.minimum(floor, x)), torch.minimum(high, torch.maximum(ceiling, x)))


def project(x_adv: Tensor, x: Tensor, *, eps: float | Tensor, clip_values: ClipValues = (0.0, 1.0)) -> Tensor:
    """Project onto the L-inf ball around ``x`` and the clip values.

    Args:
        x_adv: (n, ...) perturbed inputs.
        x: (n, ...) clean inputs.
        eps: radius, a number or (n,), in the units of ``x``, >= 0.
        clip_values: smallest and largest value of an input.
    """
    return make_box(x, eps, clip_values).project(x_adv)


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(softmax(reference) || softmax(logits)) of each sample, (n,) (TRADES, Eq. 3).

    Args:
        logits: (n, K) logits of the adversarial inputs.
        reference: (n, K) logits of the clean inputs.
    """
    log_p, log_q = F.log_softmax(reference, dim=1), F.log_softmax(logits, dim=1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)


def input_gradient(loss_of: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of a scalar with respect to its input, without touching ``.grad`` of anything."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss_of(x), x)
    return gradient
