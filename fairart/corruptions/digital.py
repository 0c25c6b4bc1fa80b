"""Pixelation and JPEG compression (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart.corruptions.common import finish, level, start
from fairart.corruptions.jpeg import jpeg_round_trip
from fairart.corruptions.linear import box_resize

__all__ = ["jpeg_compression", "pixelate"]

_PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)
_QUALITY = (80, 65, 58, 50, 40)


def pixelate(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Shrink to 0.95 down to 0.65 of the side and enlarge again, both with a box filter.

    Sides are whole pixels: on 8 x 8 images severities 1 and 2 are the same, and so are 3 and 4.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    height, width = images.shape[2:]
    scale = level(_PIXELATE, severity)
    return finish(box_resize(box_resize(images, int(height * scale), int(width * scale)), height, width), x)


def jpeg_compression(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Compress as a JPEG file of quality 80 down to 40 and read it back.

    Args:
        x: (n, C, H, W) in [0, 1]; rounded to 8 bits first, as the file holds them.
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    return finish(jpeg_round_trip(start(x, severity) * 255, level(_QUALITY, severity)) / 255, x)
