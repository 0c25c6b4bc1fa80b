"""Drops of water or mud on the lens (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fairart.corruptions.common import finish, level, luma, normal, start
from fairart.corruptions.edges import canny, distance_to_edges, equalise, weighted3
from fairart.corruptions.linear import gaussian_filter

__all__ = ["spatter"]

# mean, standard deviation, blur, threshold, intensity (water) or blur of the drops (mud), mud
_SPATTER = (
    (0.62, 0.1, 0.7, 0.7, 0.5, False),
    (0.65, 0.1, 0.8, 0.7, 0.5, False),
    (0.65, 0.3, 1.0, 0.69, 0.5, False),
    (0.65, 0.1, 0.7, 0.69, 0.6, True),
    (0.65, 0.1, 0.5, 0.68, 0.6, True),
)
_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
_RELIEF = ((-2.0, -1.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 1.0, 2.0))
_ONES = ((1.0,) * 3,) * 3
_FAR = 20.0


def spatter(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Spatter the lens: pale water that shines at its edges at severity 1 to 3, opaque mud at 4 and 5.

    Args:
        x: (n, C, H, W) in [0, 1]; on grey images the drops take the brightness of their colour.
        severity: 1 to 5; water changes images more than mud does, so change does not grow with every severity.
        generator: of the drops.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    mean, spread, blur, threshold, strength, mud = level(_SPATTER, severity)
    number, _, height, width = images.shape
    liquid = mean + spread * normal((number, 1, height, width), images, generator)
    liquid = gaussian_filter(liquid, blur).clamp(0, 1)
    liquid = liquid.masked_fill(liquid < threshold, 0)
    colour = images.new_tensor(_MUD if mud else _WATER)[None, :, None, None]
    colour = luma(colour) if images.shape[1] == 1 else colour
    if mud:
        drops = gaussian_filter((liquid > threshold).to(images), strength)
        drops = drops.masked_fill(drops < 0.8, 0)
        return finish(images * (1 - drops) + colour * drops, x)
    return finish(images + strength * _shine(liquid) * colour, x)


def _shine(liquid: Tensor) -> Tensor:
    """How much drops shine, in [0, 1] with 1 at the brightest place of each image: relief of the distance to their edges."""
    grey = (liquid * 255).floor()
    far = distance_to_edges(canny(grey, 50, 150), _FAR)
    relief = equalise(_mean3(far).floor())
    relief = weighted3(_mirror(relief), _RELIEF).clamp_(0, 255)
    shine = grey * _mean3(relief).round()
    return shine / shine.amax(dim=(2, 3), keepdim=True).clamp(min=1e-12)


def _mirror(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1), mode="reflect")


def _mean3(x: Tensor) -> Tensor:
    return weighted3(_mirror(x), _ONES) / 9
