"""Gaussian, shot, impulse and speckle noise (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart.corruptions.common import finish, level, normal, start, uniform

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"]

_GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10)
_SHOT = (500, 250, 100, 75, 50)
_IMPULSE = (0.01, 0.02, 0.03, 0.05, 0.07)
_SPECKLE = (0.06, 0.1, 0.12, 0.16, 0.2)


def gaussian_noise(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation 0.04 to 0.10, as dim light does.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the noise.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    return finish(images + level(_GAUSSIAN, severity) * normal(images.shape, images, generator), x)


def shot_noise(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Count photons: Poisson noise at 500 down to 50 photons for a white pixel.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the counts.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    return finish(photons(images, level(_SHOT, severity), generator), x)


def photons(images: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Brightness after counting, on average, ``rate`` photons for a white pixel; not clipped."""
    expected = (images * rate).to(generator.device)
    return torch.poisson(expected, generator=generator).to(images.device) / rate


def impulse_noise(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Set 1 to 7 % of the values to black or white, each colour channel by itself.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the places.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    amount = level(_IMPULSE, severity)
    # One draw decides both: the lower half of the share turns black, the upper half white.
    drawn = uniform(images.shape, 0, 1, images, generator)
    black, white = drawn < amount / 2, (drawn >= amount / 2) & (drawn < amount)
    return finish(images.masked_fill(black, 0).masked_fill(white, 1), x)


def speckle_noise(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Add normal noise that grows with brightness, of relative standard deviation 0.06 to 0.2.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the noise.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    return finish(images + images * level(_SPECKLE, severity) * normal(images.shape, images, generator), x)
