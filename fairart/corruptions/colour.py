"""Brightness, contrast and saturation (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C.

Changes in HSV space are written in closed form on the colours: a new value V' scales a colour by V' / V, and a new saturation
S' scales its distance from its largest channel by S' / S.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from fairart.corruptions.common import CorruptionWarning, finish, level, start

__all__ = ["brighten", "brightness", "contrast", "saturate"]

_BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
_SATURATE = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))


def brightness(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Raise the value of each colour in HSV space by 0.05 to 0.3.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    return finish(brighten(start(x, severity), level(_BRIGHTNESS, severity)), x)


def brighten(images: Tensor, amount: float) -> Tensor:
    """Add to the HSV value of each pixel of (n, C, H, W), clipped to [0, 1]; black becomes grey."""
    value = images.amax(dim=1, keepdim=True)
    changed = (value + amount).clamp(0, 1)
    return torch.where(value > 0, images * (changed / value.clamp(min=1e-12)), changed)


def contrast(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Draw every channel towards its mean, to 0.75 down to 0.15 of its contrast.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    means = images.mean(dim=(2, 3), keepdim=True)
    return finish(means + (images - means) * level(_CONTRAST, severity), x)


def saturate(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Change the saturation in HSV space: less at severity 1 and 2, more at 3 to 5, where grey turns reddish.

    Args:
        x: (n, C, H, W) in [0, 1]; with C = 1 the images stay as they are, with a :class:`CorruptionWarning`.
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    if images.shape[1] == 1:
        warnings.warn("saturate leaves grey images as they are: they have no saturation", CorruptionWarning, stacklevel=2)
        return finish(images, x)
    factor, added = level(_SATURATE, severity)
    high, low = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    saturation = (high - low) / high.clamp(min=1e-12)
    changed = (saturation * factor + added).clamp(0, 1)
    coloured = high - (high - images) * (changed / saturation.clamp(min=1e-12))
    # A grey pixel has no hue; HSV counts that as hue 0, which is red.
    reddish = torch.cat([high, high * (1 - changed), high * (1 - changed)], dim=1)
    return finish(torch.where(high > low, coloured, reddish), x)
