"""MixUp and CutMix: two images of a batch become one, and so do their labels."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Mixing
from fairart.plugins.options import Option

__all__ = ["CutMix", "MixUp", "symmetric_beta"]

Probability = Annotated[float, Option("share of the images that are mixed", low=0, high=1)]


def symmetric_beta(alpha: float, n: int, *, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draws from Beta(alpha, alpha), (n,) float64.

    1/2 + s / (2 sqrt(1 + 1 / ((u^(-1/alpha) - 1) cos(2 pi v)^2))), s the sign of the cosine: exact, and two uniform numbers a
    draw without rejection (Devroye, "Random variate generation in one line of code", 1996).

    Args:
        alpha: > 0.
        n: number of draws.
        generator: random state.
        device: of the result.
    """
    uniform = draws.rand((n, 2), generator=generator, device=device, dtype=torch.float64)
    cosine = torch.cos(2 * math.pi * uniform[:, 1])
    spread = torch.expm1(-torch.log(uniform[:, 0]) / alpha) * cosine.square()
    return 0.5 + 0.5 * cosine.sign() / torch.sqrt(1 + 1 / spread)


class _Pairing(Mixing):
    """Draws each image's partner and how much of itself it keeps."""

    alpha: float
    probability: float

    def _drawn(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(x)
        partner = torch.randperm(n, generator=generator, device=x.device)
        share = symmetric_beta(self.alpha, n, generator=generator, device=x.device)
        mixed = draws.rand((n,), generator=generator, device=x.device, dtype=torch.float64) < self.probability
        return partner, torch.where(mixed, share, 1.0)


class MixUp(_Pairing):
    """s x + (1 - s) x' with s from Beta(alpha, alpha) and x' from a permutation of the batch (Zhang et al., ICLR 2018).

    Paper and here: s for every pair. Program and torchvision: one s a batch.

    Args:
        alpha: of the Beta distribution; small values mix little.
        probability: share of the images that are mixed.
    """

    def __init__(
        self,
        *,
        alpha: Annotated[
            float, Option("of the Beta distribution of the shares", low=0, low_open=True, source="MixUp 0.2 to 1")
        ] = 1.0,
        probability: Probability = 1.0,
    ) -> None:
        self.alpha, self.probability = alpha, probability

    def mixed(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Weighted means of pairs."""
        partner, share = self._drawn(x, generator)
        weight = share.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
        return torch.lerp(x[partner], x, weight), partner, share


class CutMix(_Pairing):
    """Paints a rectangle of x' into x, labels shared by area (Yun et al., ICCV 2019).

    The rectangle has sides sqrt(1 - s) of the image's, s from Beta(alpha, alpha), a uniform centre, and is cut off at the edges.
    Paper and program: one rectangle a batch. Here: one for every image.

    Args:
        alpha: of the Beta distribution.
        probability: share of the images that are mixed.
    """

    def __init__(
        self,
        *,
        alpha: Annotated[float, Option("of the Beta distribution of the areas", low=0, low_open=True, source="CutMix 1")] = 1.0,
        probability: Probability = 1.0,
    ) -> None:
        self.alpha, self.probability = alpha, probability

    def mixed(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images with a rectangle of their partner."""
        partner, share = self._drawn(x, generator)
        half = 0.5 * torch.sqrt(1 - share)
        rows = self._stretch(half, x.shape[2], generator, x.device)
        columns = self._stretch(half, x.shape[3], generator, x.device)
        box = rows[:, :, None] & columns[:, None, :]
        own = 1 - box.double().mean(dim=(1, 2))
        return torch.where(box[:, None], x[partner], x), partner, own

    def _stretch(self, half: Tensor, side: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """(n, side) bool, the rows or columns of each rectangle."""
        centre = draws.randint(side, (len(half),), generator=generator, device=device)
        reach = (half * side).long()
        positions = torch.arange(side, device=device)
        return (positions >= (centre - reach)[:, None]) & (positions < (centre + reach)[:, None])
