"""The first trials of a search, spread evenly over each range: a few independent draws leave large parts of it empty."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

__all__ = ["shares", "value_at"]


def shares(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A Latin hypercube sample of one dimension: one value in each of ``count`` equal parts of [0, 1), in random order.

    Args:
        count: of values, >= 1.
        rng: of the order and of the place within each part.

    Returns:
        Shape (count,), float64. Source: McKay, Beckman and Conover 1979.
    """
    return (rng.permutation(count) + rng.random(count)) / count


def value_at(distribution: BaseDistribution, share: float) -> Any:
    """The value at a share of a distribution's range, on its own scale.

    Args:
        distribution: a range or a list of choices.
        share: in [0, 1).
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"expected a range or choices, got {distribution!r}")
    low, high, step = distribution.low, distribution.high, distribution.step
    whole = isinstance(distribution, IntDistribution)
    if distribution.log:
        # Whole numbers take half a unit more on both sides, so that the ends are drawn as often as the others.
        low, high = (low - 0.5, high + 0.5) if whole else (low, high)
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    elif step is not None:
        value = low + step * int(share * (round((high - low) / step) + 1))
    else:
        value = low + share * (high - low)
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if whole else float(value)
