"""Random erasing: a rectangle of an image is painted over."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation
from fairart.errors import OptionError
from fairart.plugins.options import Option

__all__ = ["RandomErasing"]

ATTEMPTS = 10
"""Draws of a rectangle that may be too large for the image; where all are, the image stays (torchvision)."""


class RandomErasing(Augmentation):
    """Paints a random rectangle of an image over (Zhong et al., AAAI 2020); the draws are those of torchvision's class.

    Area uniform, aspect ratio log-uniform, place uniform, for every image by itself. torchvision paints normal noise for
    "random", which leaves the valid values; here it is uniform, as in the paper.

    Args:
        probability: share of the images that are erased.
        smallest: smallest area, a share of the image.
        largest: largest area, a share of the image.
        aspect: largest ratio of the sides; the smallest is its inverse.
        value: what is painted, from 0 (lowest value of an input) to 1 (highest), or "random".
    """

    unit_range = True

    def __init__(
        self,
        *,
        probability: Annotated[float, Option("share of the images that are erased", low=0, high=1)] = 0.5,
        smallest: Annotated[float, Option("smallest area, a share of the image", low=0, low_open=True, high=1)] = 0.02,
        largest: Annotated[float, Option("largest area, a share of the image", low=0, low_open=True, high=1)] = 0.33,
        aspect: Annotated[float, Option("largest ratio of the sides; the smallest is its inverse", low=1)] = 10 / 3,
        value: Annotated[
            Literal["random"] | float,
            Option("what is painted: 0 lowest value of an input to 1 highest, or random", low=0, high=1),
        ] = 0.0,
    ) -> None:
        if smallest > largest:
            raise OptionError(f"random-erasing: smallest must be at most largest, got {smallest:g} and {largest:g}")
        self.probability, self.smallest, self.largest, self.aspect, self.value = probability, smallest, largest, aspect, value

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Erase."""
        n, _, height, width = x.shape

        def draw(*shape: int) -> Tensor:
            return draws.rand((n, *shape), generator=generator, device=x.device, dtype=torch.float32)

        erased = draw() < self.probability
        sides, fits = self._sides(draw(ATTEMPTS, 2), height, width)
        corner = [
            (place * (size - side + 1)).floor() for place, size, side in zip(draw(2).T, (height, width), sides, strict=True)
        ]
        rows = _between(torch.arange(height, device=x.device), corner[0], sides[0])
        columns = _between(torch.arange(width, device=x.device), corner[1], sides[1])
        box = (rows[:, :, None] & columns[:, None, :] & (erased & fits)[:, None, None])[:, None]
        if self.value == "random":
            noise = draws.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            return torch.where(box, noise, x)
        return x.masked_fill(box, float(self.value))

    def _sides(self, drawn: Tensor, height: int, width: int) -> tuple[list[Tensor], Tensor]:
        """Height and width of each image's rectangle, (n,), and whether one was found."""
        area = height * width * (self.smallest + drawn[:, :, 0] * (self.largest - self.smallest))
        ratio = torch.exp(math.log(self.aspect) * (2 * drawn[:, :, 1] - 1))
        tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (tall < height) & (wide < width)
        first = fits.int().argmax(dim=1, keepdim=True)
        return [side.gather(1, first)[:, 0] for side in (tall, wide)], fits.any(dim=1)


def _between(positions: Tensor, first: Tensor, size: Tensor) -> Tensor:
    """(n, side) bool, which positions lie in a stretch of each image."""
    return (positions >= first[:, None]) & (positions < (first + size)[:, None])
