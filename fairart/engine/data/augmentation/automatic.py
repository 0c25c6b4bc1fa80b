"""RandAugment, TrivialAugment and AugMix: operations drawn for every image by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation
from fairart.engine.data.augmentation.operations import Interpolation, apply_operations
from fairart.plugins.options import Option

__all__ = ["AugMix", "RandAugment", "TrivialAugment"]

Scale = Callable[[int, int, int], Tensor]
"""Number of levels, height, width -> (levels,) magnitudes."""

SIGNED = frozenset(
    {"shear-x", "shear-y", "translate-x", "translate-y", "rotate", "brightness", "colour", "contrast", "sharpness"}
)
"""Operations whose magnitude is negative in half of the draws."""


def _linear(low: float, high: float) -> Scale:
    return lambda levels, height, width: torch.linspace(low, high, levels)


def _across(share: float, *, down: bool = False) -> Scale:
    return lambda levels, height, width: torch.linspace(0.0, share * (height if down else width), levels)


def _bits(first: int, fewer: int) -> Scale:
    return lambda levels, height, width: (first - torch.arange(levels) / max(1, levels - 1) * fewer).round()


def _pixels(most: float, *, down: bool = False) -> Scale:
    return lambda levels, height, width: torch.linspace(0.0, min(most, height if down else width), levels)


def _blends(high: float) -> dict[str, Scale]:
    return dict.fromkeys(("brightness", "colour", "contrast", "sharpness"), _linear(0.0, high))


def _values(first_bits: int, fewer_bits: int) -> dict[str, Scale]:
    return {
        "posterize": _bits(first_bits, fewer_bits),
        "solarize": _linear(1.0, 0.0),
        "autocontrast": _linear(0.0, 0.0),
        "equalize": _linear(0.0, 0.0),
    }


def _moves(shear: float, degrees: float, translations: tuple[Scale, Scale]) -> dict[str, Scale]:
    return {
        "shear-x": _linear(0.0, shear),
        "shear-y": _linear(0.0, shear),
        "translate-x": translations[0],
        "translate-y": translations[1],
        "rotate": _linear(0.0, degrees),
    }


def _beyond(share: float) -> tuple[Scale, Scale]:
    return _across(share), _across(share, down=True)


# The magnitudes of torchvision's classes of the same names.
RAND_AUGMENT: dict[str, Scale] = {
    "identity": _linear(0.0, 0.0),
    **_moves(0.3, 30.0, _beyond(150 / 331)),
    **_blends(0.9),
    **_values(8, 4),
}
TRIVIAL_AUGMENT: dict[str, Scale] = {
    "identity": _linear(0.0, 0.0),
    **_moves(0.99, 135.0, (_pixels(32.0), _pixels(32.0, down=True))),
    **_blends(0.99),
    **_values(8, 6),
}
AUG_MIX: dict[str, Scale] = {**_moves(0.3, 30.0, _beyond(1 / 3)), **_values(4, 4), **_blends(0.9)}

AUG_MIX_LEVELS = 10


class _Operations(Augmentation):
    """Draws operations and applies them; ``operations`` says which, and how strong each may be."""

    unit_range = True
    channels = (1, 3)
    operations: Mapping[str, Scale]
    interpolation: Interpolation = "nearest"
    # On the class: a copy made by pickle or a subclass without a call of __init__ has it too.
    _table: tuple[tuple[object, ...], Tensor] | None = None

    def _magnitudes(self, x: Tensor, levels: int) -> Tensor:
        """(2, operations, levels) magnitudes on the device, first and second sign; made once for images of one size."""
        key = (x.device, x.dtype, x.shape[2:], levels)
        if self._table is None or self._table[0] != key:
            table = torch.stack([scale(levels, *x.shape[2:]) for scale in self.operations.values()])
            signs = torch.tensor([-1.0 if name in SIGNED else 1.0 for name in self.operations])
            self._table = key, torch.stack((table, signs[:, None] * table)).to(x)
        return self._table[1]

    def _applied(self, x: Tensor, generator: torch.Generator, *, levels: int, level: Tensor) -> Tensor:
        """Each image after one operation, at the level given for it."""
        n = len(x)
        chosen = draws.randint(len(self.operations), (n,), generator=generator, device=x.device)
        sign = draws.randint(2, (n,), generator=generator, device=x.device)
        magnitudes = self._magnitudes(x, levels)[sign, chosen, level]
        return apply_operations(x, tuple(self.operations), chosen, magnitudes, interpolation=self.interpolation)


class RandAugment(_Operations):
    """Some operations of one strength, drawn from fourteen (Cubuk et al., NeurIPS 2020).

    Operations and magnitudes are torchvision's. There: one draw a batch. Here: one for every image.

    Args:
        num_ops: operations one after the other.
        magnitude: their strength, a level below ``levels``.
        levels: number of levels.
    """

    operations = RAND_AUGMENT

    def __init__(
        self,
        *,
        num_ops: Annotated[int, Option("operations one after the other", low=1, source="RandAugment 2")] = 2,
        magnitude: Annotated[int, Option("strength, a level from 0 to 30", low=0, high=30, source="torchvision 9")] = 9,
    ) -> None:
        self.num_ops, self.magnitude = num_ops, magnitude

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Images after ``num_ops`` operations."""
        level = torch.full((len(x),), self.magnitude, device=x.device)
        for _ in range(self.num_ops):
            x = self._applied(x, generator, levels=31, level=level)
        return x


class TrivialAugment(_Operations):
    """One operation of a random strength, drawn from fourteen: TrivialAugment "wide" (Mueller and Hutter, ICCV 2021).

    Operations and magnitudes are torchvision's; translations go up to 32 pixels, and here no further than the side of the image.
    There: one draw a batch. Here: one for every image.
    """

    operations = TRIVIAL_AUGMENT

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Images after one operation."""
        level = draws.randint(31, (len(x),), generator=generator, device=x.device)
        return self._applied(x, generator, levels=31, level=level)


class AugMix(_Operations):
    """A weighted mean of the image and of chains of operations on it (Hendrycks et al., ICLR 2020).

    Weights from Dirichlet(1, ..., 1), the share of the image itself from Beta(1, 1), chains of one to three operations; all for
    every image by itself. Operations and magnitudes are torchvision's. The paper's further loss, which compares three versions
    of an image, is left out.

    Args:
        severity: strength of the operations: levels are drawn below it.
        width: number of chains.
        depth: operations of a chain; None draws one to three.
    """

    operations = AUG_MIX
    interpolation: Interpolation = "bilinear"

    def __init__(
        self,
        *,
        severity: Annotated[int, Option("levels are drawn below it", low=1, high=AUG_MIX_LEVELS, source="AugMix 3")] = 3,
        width: Annotated[int, Option("number of chains", low=1, source="AugMix 3")] = 3,
        depth: Annotated[int | None, Option("operations of a chain; None draws one to three", low=1)] = None,
    ) -> None:
        self.severity, self.width, self.depth = severity, width, depth

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mixtures."""
        n = len(x)
        uniform = draws.rand((n, 1 + self.width), generator=generator, device=x.device, dtype=torch.float32)
        # Normalised exponential numbers are a draw from Dirichlet(1, ..., 1).
        exponential = -torch.log1p(-uniform[:, 1:]).clamp_max(-torch.finfo(torch.float32).tiny)
        weights = (1 - uniform[:, :1]) * exponential / exponential.sum(dim=1, keepdim=True)
        mixture = uniform[:, 0].to(x.dtype).view(-1, 1, 1, 1) * x
        for chain in range(self.width):
            mixture = mixture + weights[:, chain].to(x.dtype).view(-1, 1, 1, 1) * self._chain(x, generator)
        return mixture.clamp_(0, 1)

    def _chain(self, x: Tensor, generator: torch.Generator) -> Tensor:
        n = len(x)
        longest = 3 if self.depth is None else self.depth
        depth = draws.randint(3, (n,), generator=generator, device=x.device) + 1
        result = x
        for step in range(longest):
            level = draws.randint(self.severity, (n,), generator=generator, device=x.device)
            further = self._applied(result, generator, levels=AUG_MIX_LEVELS, level=level)
            result = further if self.depth is not None else torch.where((step < depth).view(-1, 1, 1, 1), further, result)
        return result
