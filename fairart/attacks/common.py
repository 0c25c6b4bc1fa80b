"""What every inner attack shares: the region it may move in, and input gradients that spare the parameters."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairart.norms import norm_order

__all__ = [
    "Ball",
    "Box",
    "ClipValues",
    "Model",
    "distances",
    "frozen",
    "in_unit_ball",
    "kl_divergence",
    "make_box",
    "make_region",
    "order_of",
    "per_sample",
    "project",
]

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

    def move(self, x: Tensor, gradient: Tensor, step: float | Tensor) -> Tensor:
        """One step along the sign of the gradient, which is overwritten, and back into the box."""
        return self.project(x + step * gradient.sign_())

    def rows(self, keep: Tensor) -> Box:
        """The boxes of some of the samples."""
        return Box(self.low[keep], self.high[keep])


@dataclass(frozen=True, eq=False)
class Ball:
    """The L2 ball around each sample within the clip values.

    Args:
        centre: (n, ...) clean inputs.
        radius: broadcasts against them.
        limits: the box of the clip values, made large enough to hold the centre; None for no limit.
    """

    centre: Tensor
    radius: Tensor
    limits: Box | None

    def project(self, x: Tensor) -> Tensor:
        """Onto the ball, then onto the clip values: inside both, since clipping only brings it nearer to the centre.

        What lies inside stays as it is, to the bit.
        """
        change = x - self.centre
        length = distances(change, 2).view(-1, *[1] * (x.ndim - 1))
        nearest = self.centre + change * (self.radius / length.clamp_min(torch.finfo(x.dtype).tiny))
        x = torch.where(length <= self.radius, x, nearest)
        return x if self.limits is None else self.limits.project(x)

    def move(self, x: Tensor, gradient: Tensor, step: float | Tensor) -> Tensor:
        """One step of length ``step`` along each sample's gradient, none where that is zero, and back into the ball."""
        return self.project(x + step * _unit(gradient))

    def rows(self, keep: Tensor) -> Ball:
        """The balls of some of the samples."""
        radius = self.radius[keep] if self.radius.ndim else self.radius
        return Ball(self.centre[keep], radius, None if self.limits is None else self.limits.rows(keep))


def distances(change: Tensor, norm: float) -> Tensor:
    """(n,) lengths of the changes of n samples in a norm, inf or 2."""
    flat = change.flatten(1)
    return flat.abs().amax(dim=1) if norm == math.inf else torch.linalg.vector_norm(flat, dim=1)


def _unit(gradient: Tensor) -> Tensor:
    """Each sample's gradient at length 1; zero where it is zero."""
    shape = (-1, *[1] * (gradient.ndim - 1))
    # By its largest value first: a well classified sample's gradient is so small that its squares would be zero.
    largest = distances(gradient, math.inf).clamp_min(torch.finfo(gradient.dtype).tiny)
    scaled = gradient / largest.view(shape)
    return scaled / distances(scaled, 2).clamp_min(1).view(shape)


def in_unit_ball(normal: Tensor, uniform: Tensor) -> Tensor:
    """Points drawn uniformly in the L2 ball of radius 1.

    Args:
        normal: (n, ...) standard normal numbers: the directions.
        uniform: (n,) uniform numbers in [0, 1): in d dimensions, the d-th powers of the distances from the centre.
    """
    radius = uniform ** (1 / normal.flatten(1).shape[1])
    return normal * (radius / distances(normal, 2).clamp_min(torch.finfo(normal.dtype).tiny)).view(-1, *[1] * (normal.ndim - 1))


def order_of(norm: float | str) -> float:
    """The order of a norm.

    Args:
        norm: inf or 2, as ART or as AutoAttack writes it.

    Raises:
        ValueError: any other.
    """
    order = norm_order(norm)
    if order is None:
        raise ValueError(f"norm must be inf or 2, got {norm!r}")
    return order


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
    limits = _limits(x, clip_values)
    return Box(torch.maximum(low, limits.low), torch.minimum(high, limits.high))


def _limits(x: Tensor, clip_values: tuple[float | Tensor, float | Tensor]) -> Box:
    floor, ceiling = (torch.as_tensor(value, dtype=x.dtype, device=x.device) for value in clip_values)
    # A clean input outside the clip values stays a point of its own box, else its projection would leave the ball.
    return Box(torch.minimum(floor, x), torch.maximum(ceiling, x))


def make_region(x: Tensor, eps: float | Tensor, clip_values: ClipValues, norm: float | str = math.inf) -> Box | Ball:
    """Where an attack may move: the ball around each sample in a norm, within the clip values.

    Args:
        x: (n, ...) clean inputs.
        eps: radius, a number or (n,), in the units of ``x``, >= 0.
        clip_values: see :data:`ClipValues`.
        norm: inf or 2.

    Raises:
        ValueError: another norm, or a negative or wrongly shaped radius.
    """
    if order_of(norm) == math.inf:
        return make_box(x, eps, clip_values)
    return Ball(x, per_sample(eps, x, "eps"), None if clip_values is None else _limits(x, clip_values))


def project(
    x_adv: Tensor,
    x: Tensor,
    *,
    eps: float | Tensor,
    clip_values: ClipValues = (0.0, 1.0),
    norm: float | str = math.inf,
) -> Tensor:
    """Project onto the ball around ``x`` and the clip values.

    Args:
        x_adv: (n, ...) perturbed inputs.
        x: (n, ...) clean inputs.
        eps: radius, a number or (n,), in the units of ``x``, >= 0.
        clip_values: smallest and largest value of an input.
        norm: that ``eps`` is measured in, inf or 2.
    """
    return make_region(x, eps, clip_values, norm).project(x_adv)


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
