"""Power: which difference a number of seeds can show, and what many comparisons cost."""

from __future__ import annotations

import math

from fairart.statistics.levels import checked_level

__all__ = ["detectable_difference", "price_of_comparisons"]

_STEPS = 60  # halvings: more than a float can tell apart


def detectable_difference(
    standard_error: float, degrees: float, *, comparisons: int = 1, power: float = 0.8, level: float = 0.95
) -> float:
    """The smallest true difference that a two-sided t test finds with the given probability.

    The test is at the level of Holm's first step, (1 - level) / comparisons, which every comparison passes in the worst case.

    Args:
        standard_error: of the difference, >= 0, in the unit of the result.
        degrees: degrees of freedom of the test, > 0; seeds - 1 if only seeds differ.
        comparisons: planned comparisons, >= 1.
        power: probability of finding the difference, in (0, 1).
        level: 1 less the probability of any false finding, in (0, 1).

    Returns:
        The difference, >= 0; NaN if the error or the degrees are NaN.

    Raises:
        ValueError: arguments out of range.
    """
    checked_level(level)
    if not 0 < power < 1:
        raise ValueError(f"power must be in (0, 1), got {power!r}")
    if isinstance(comparisons, bool) or not isinstance(comparisons, int) or comparisons < 1:
        raise ValueError(f"comparisons must be a whole number >= 1, got {comparisons!r}")
    if math.isnan(standard_error) or math.isnan(degrees):
        return math.nan
    if standard_error < 0 or degrees <= 0:
        raise ValueError(f"expected standard_error >= 0 and degrees > 0, got {standard_error!r} and {degrees!r}")
    return standard_error * _detectable_shift(degrees, (1 - level) / comparisons, power)


def _detectable_shift(degrees: float, error: float, power: float) -> float:
    """The difference in standard errors: the shift of the noncentral t distribution that reaches the power."""
    from scipy.special import nctdtr, stdtrit

    threshold = float(stdtrit(degrees, 1 - error / 2))
    # Findings on the wrong side are not counted; for a power above one half they are practically none.
    below, above = 0.0, 1.0
    while 1 - nctdtr(degrees, above, threshold) < power:
        below, above = above, 2 * above
    for _ in range(_STEPS):
        middle = (below + above) / 2
        below, above = (middle, above) if 1 - nctdtr(degrees, middle, threshold) < power else (below, middle)
    return above


def price_of_comparisons(nb_seeds: int, comparisons: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """How many times larger a difference must be to be found among several comparisons than in a single one.

    Few seeds make this dear: 18 comparisons need a difference 4.3 times as large with three seeds, 1.5 times with twenty.

    Args:
        nb_seeds: seeds of each method, >= 2.
        comparisons: planned comparisons, >= 1.
        power: probability of finding the difference, in (0, 1).
        level: 1 less the probability of any false finding, in (0, 1).

    Returns:
        A factor >= 1.

    Raises:
        ValueError: arguments out of range.
    """
    if nb_seeds < 2:
        raise ValueError(f"expected at least two seeds, got {nb_seeds!r}")
    alone, among = (
        detectable_difference(1.0, nb_seeds - 1, comparisons=number, power=power, level=level) for number in (1, comparisons)
    )
    return among / alone
