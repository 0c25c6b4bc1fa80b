"""What every corruption does first and last: check its images, draw from the generator, give back what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["CIFAR_SIDE", "MIN_SIDE", "SEVERITIES", "CorruptionWarning", "finish", "level", "luma", "normal", "start", "uniform"]

SEVERITIES = (1, 2, 3, 4, 5)
MIN_SIDE = 8
"""Smallest height and width in pixels: below it a blur of CIFAR size is wider than the image."""

CIFAR_SIDE = 32
"""Height and width in pixels of the images that the parameters were chosen for."""

_LUMA = (0.299, 0.587, 0.114)
T = TypeVar("T")


class CorruptionWarning(UserWarning):
    """A corruption cannot mean for these images what it means for CIFAR's; the message says what is done instead."""


def start(x: Tensor, severity: int) -> Tensor:
    """Check a batch and a severity, and give the batch in a precision to compute in.

    Args:
        x: (n, C, H, W), C 1 or 3, H and W >= 8, floating point in [0, 1].
        severity: 1 to 5.

    Returns:
        The batch in float32, or in float64 where it came so.

    Raises:
        TypeError: no floating point tensor.
        ValueError: another shape, values outside [0, 1] or NaN, or no such severity.
    """
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ValueError(f"severity must be a whole number from 1 to 5, got {severity!r}")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(f"expected a floating point tensor in [0, 1], got {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 4 or x.shape[1] not in (1, 3) or x.shape[0] == 0:
        raise ValueError(f"expected images (n, 1 or 3, H, W) with n >= 1, got shape {tuple(x.shape)}")
    if min(x.shape[2:]) < MIN_SIDE:
        raise ValueError(f"expected at least {MIN_SIDE} x {MIN_SIDE} pixels, got {x.shape[2]} x {x.shape[3]}")
    low, high = (float(bound) for bound in torch.aminmax(x.detach()))
    if not (low >= 0 and high <= 1):
        raise ValueError(f"expected values in [0, 1], got {low:.6g} to {high:.6g}")
    return x.detach() if x.dtype == torch.float64 else x.detach().float()


def finish(result: Tensor, x: Tensor) -> Tensor:
    """Clip to [0, 1] and return to the type of the images that came."""
    return result.clamp(0, 1).to(x.dtype)


def level(table: Sequence[T], severity: int) -> T:
    """The parameters of a severity."""
    return table[severity - 1]


def normal(shape: Sequence[int], like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers with the type and on the device of ``like``.

    They are drawn where the generator lives: one on the CPU gives the same images on every device.
    """
    return torch.randn(tuple(shape), generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def uniform(shape: Sequence[int], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [low, high), drawn as :func:`normal` does."""
    drawn = torch.rand(tuple(shape), generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device) * (high - low) + low


def luma(x: Tensor) -> Tensor:
    """Brightness (n, 1, H, W) of colour or grey images (ITU-R BT.601)."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor(_LUMA, dtype=x.dtype, device=x.device)
    return (x * weights[:, None, None]).sum(dim=1, keepdim=True)
