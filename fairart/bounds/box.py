"""A box of values: each entry between a lower and an upper end, and the values of one point carried along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Box"]


@dataclass(frozen=True, eq=False)
class Box:
    """Values between two ends.

    Args:
        lower: (n, ...) smallest values.
        upper: (n, ...) largest values.
        point: (n, ...) values at the sample itself, somewhere in the box; None where nobody needs them. Batch-norm in train mode
            takes its statistics from these.
    """

    lower: Tensor
    upper: Tensor
    point: Tensor | None = None

    def monotone(self, function: Callable[[Tensor], Tensor]) -> Box:
        """The box after a function that nowhere decreases in any entry, such as ReLU, pooling or a reshape."""
        return Box(function(self.lower), function(self.upper), None if self.point is None else function(self.point))

    def linear(self, plain: Callable[[Tensor], Tensor], absolute: Callable[[Tensor], Tensor]) -> Box:
        """The box after an affine map: centre by the map itself, radius by its absolute weights.

        Args:
            plain: the map, bias included.
            absolute: the map with the absolute values of its weights, without bias.
        """
        centre, radius = plain((self.lower + self.upper) / 2), absolute((self.upper - self.lower) / 2)
        return Box(centre - radius, centre + radius, None if self.point is None else plain(self.point))

    def plus(self, other: Box | Tensor | float) -> Box:
        """The sum with another box, or with values that are known."""
        if not isinstance(other, Box):
            return self.monotone(lambda values: values + other)
        known = self.point is not None and other.point is not None
        point = self.point + other.point if known else None  # type: ignore[operator]
        return Box(self.lower + other.lower, self.upper + other.upper, point)

    def times(self, factor: Tensor | float) -> Box:
        """The product with values that are known, of any sign."""
        one, two = self.lower * factor, self.upper * factor
        return Box(one.minimum(two), one.maximum(two), None if self.point is None else self.point * factor)
