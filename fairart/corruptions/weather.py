"""Snow, fog and frost (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from fairart.corruptions.common import finish, level, luma, normal, start, uniform
from fairart.corruptions.linear import clipped_zoom
from fairart.corruptions.motion import directional_blur
from fairart.corruptions.plasma import plasma
from fairart.corruptions.textures import load_textures, random_crops
from fairart.plugins.options import Option

__all__ = ["fog", "frost", "snow"]

# mean, standard deviation, zoom, threshold, radius, sigma, share of the image that keeps its colour
_SNOW = (
    (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
    (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
)
_FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
_FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))


def snow(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Let it snow: bright noise, blurred along the way it falls, over a paler image.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the flakes and of the direction, -135 to -45 degrees.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    mean, spread, zoom, threshold, radius, sigma, kept = level(_SNOW, severity)
    number, _, height, width = images.shape
    flakes = clipped_zoom(mean + spread * normal((number, 1, height, width), images, generator), zoom)
    flakes = flakes.masked_fill(flakes < threshold, 0).clamp(0, 1)
    angles = uniform((number,), -135, -45, images, generator)
    flakes = directional_blur(flakes, int(radius), sigma, angles)
    pale = kept * images + (1 - kept) * torch.maximum(images, luma(images) * 1.5 + 0.5)
    # The same flakes upside down make the second half of the snow.
    return finish(pale + flakes + flakes.flip(2, 3), x)


def fog(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Lay clouds over the image and dim both, so that the brightest value stays in range.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5; amount 0.2 to 1.5.
        generator: of the clouds.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    amount, decay = level(_FOG, severity)
    number, _, height, width = images.shape
    clouds = plasma(number, height, width, decay, like=images, generator=generator)
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    return finish((images + amount * clouds) * brightest / (brightest + amount), x)


def frost(
    x: Tensor,
    severity: int,
    *,
    generator: torch.Generator,
    textures: Annotated[
        str | None, Option("folder of pictures of frost; None takes those of the installed package imagecorruptions")
    ] = None,
) -> Tensor:
    """Add a random piece of a photograph of frost.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the pieces.
        textures: folder of .png or .jpg pictures, at least 5 times as large as the images; smaller ones are taken larger
            than the authors take them, with a :class:`CorruptionWarning`.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
        MissingTexturesError: there are no pictures; the message says how to get some.
    """
    images = start(x, severity)
    kept, added = level(_FROST, severity)
    number, channels, height, width = images.shape
    pieces = random_crops(load_textures(textures), number, height, width, generator).to(images)
    return finish(kept * images + added * (luma(pieces) if channels == 1 else pieces), x)
