"""Blur along a line: a camera that moves, or snow that falls."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart.corruptions.common import finish, level, start, uniform

__all__ = ["directional_blur", "motion_blur"]

_MOTION = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))
_NEGLIGIBLE = 1e-4
"""Taps that weigh less than this in all are left out: a fortieth of the step between two of 256 grey values."""


def motion_blur(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Blur one-sidedly along a line at -45 to 45 degrees, as a moving camera does (Hendrycks & Dietterich, ICLR 2019).

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5; radius 6 to 9 pixels, standard deviation 1 to 2.5 pixels.
        generator: of the angle of each image.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    radius, sigma = level(_MOTION, severity)
    angles = uniform((len(images),), -45, 45, images, generator)
    return finish(directional_blur(images, radius, sigma, angles), x)


def directional_blur(x: Tensor, radius: int, sigma: float, angles: Tensor) -> Tensor:
    """Mean over the pixels that lie ahead on a line, weighted by half a Gaussian; borders repeat.

    The line is walked in whole pixels, as ImageMagick's motion blur does.

    Args:
        x: (n, C, H, W).
        radius: the line is 2 * radius + 1 pixels long.
        sigma: standard deviation in pixels.
        angles: (n,) in degrees, 0 to the right and 90 downwards.
    """
    distances = torch.arange(2 * radius + 1, device=x.device, dtype=torch.float64)
    weights = torch.exp(-0.5 * (distances / sigma) ** 2)
    weights = weights / weights.sum()
    taps = int((weights.flip(0).cumsum(0).flip(0) > _NEGLIGIBLE).sum())
    weights = weights[:taps] / weights[:taps].sum()
    radians = torch.deg2rad(angles.double())[:, None]
    down = torch.ceil(distances[:taps] * radians.sin() - 0.5).long()
    right = torch.ceil(distances[:taps] * radians.cos() - 0.5).long()
    return _weighted_shifts(x, weights.tolist(), down, right)


def _weighted_shifts(x: Tensor, weights: list[float], down: Tensor, right: Tensor) -> Tensor:
    number, channels, height, width = x.shape
    flat = x.reshape(number, channels, height * width)
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    blurred = flat * weights[0]
    for tap, weight in enumerate(weights[1:], start=1):
        source_rows = (rows + down[:, tap, None]).clamp_(0, height - 1) * width
        source_columns = (columns + right[:, tap, None]).clamp_(0, width - 1)
        sources = (source_rows[:, :, None] + source_columns[:, None, :]).reshape(number, 1, -1)
        blurred.add_(flat.gather(2, sources.expand(-1, channels, -1)), alpha=weight)
    return blurred.reshape(x.shape)
