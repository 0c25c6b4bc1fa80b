"""Dual multipliers of FRL (Xu et al., ICML 2021) as pure functions of what validation measured.

The weighting needs the multipliers of the two losses, the margins need their own; neither needs the other's. So each policy
keeps what is its own, both read the same statistics, and nothing is shared or computed twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairart.policies.base import FloatArray
from fairart.statistics import ComparedByValue, ValidationStatistics

__all__ = ["FRLErrors", "frl_class_weights", "frl_errors", "frl_loss_multipliers", "frl_margin_multipliers", "frl_margin_scale"]

SUM_LIMIT = 0.5
"""Largest sum of the multipliers of one loss; keeps every weight above 0.5 / K."""

RATE_HALVED_EVERY = 40
"""Rounds after which the rate of the loss multipliers is halved (the authors' program)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FRLErrors(ComparedByValue):
    """What the constraints of FRL are about.

    Args:
        clean: (K,) share of each class misclassified clean.
        boundary: (K,) clean accuracy less robust accuracy of each class.
        total_clean: share of all samples misclassified clean.
        total_boundary: clean accuracy less robust accuracy of all samples.
    """

    clean: FloatArray
    boundary: FloatArray
    total_clean: float
    total_boundary: float

    def violations(self, bound_clean: float, bound_boundary: float) -> tuple[FloatArray, FloatArray]:
        """By how much each class breaks the bound on its clean and its boundary error, (K,) each (FRL).

        An absent class breaks none: 0.

        Args:
            bound_clean: how far a class's clean error may lie above the overall one.
            bound_boundary: the same of the boundary error.
        """
        clean = self.clean - self.total_clean - bound_clean
        boundary = self.boundary - self.total_boundary - bound_boundary
        return np.nan_to_num(clean, nan=0.0), np.nan_to_num(boundary, nan=0.0)


def frl_errors(validation: ValidationStatistics) -> FRLErrors:
    """Clean and boundary errors of a validation pass.

    Args:
        validation: clean and robust predictions on the same samples.
    """
    clean, robust = validation.clean, validation.robust
    return FRLErrors(
        clean=1.0 - clean.class_accuracy,
        boundary=clean.class_accuracy - robust.class_accuracy,
        total_clean=1.0 - clean.accuracy,
        total_boundary=clean.accuracy - robust.accuracy,
    )


def frl_loss_multipliers(
    natural: FloatArray, boundary: FloatArray, violations: tuple[FloatArray, FloatArray], *, rate: float, rounds: int
) -> tuple[FloatArray, FloatArray]:
    """One round of the multipliers of the two losses.

    Args:
        natural: (K,) multipliers of the clean errors so far.
        boundary: (K,) multipliers of the boundary errors so far.
        violations: what :meth:`FRLErrors.violations` gave.
        rate: step; the boundary multipliers take twice that.
        rounds: number of rounds before this one; the rate halves every 40.

    Returns:
        The two new multipliers, each >= 0 and of sum <= 0.5.
    """
    rate = rate * 0.5 ** ((rounds + 1) // RATE_HALVED_EVERY)
    stepped = natural + rate * violations[0], boundary + 2 * rate * violations[1]
    first, second = (_limited(np.maximum(multipliers, 0.0)) for multipliers in stepped)
    return first, second


def _limited(multipliers: FloatArray) -> FloatArray:
    total = multipliers.sum()
    limited: FloatArray = multipliers * (SUM_LIMIT / total) if total > SUM_LIMIT else multipliers
    return limited


def frl_class_weights(multipliers: FloatArray) -> FloatArray:
    """(K,) weights 1 / K + l_k - mean(l), summing to 1."""
    weights: FloatArray = 1.0 / len(multipliers) + multipliers - multipliers.mean()
    return weights


def frl_margin_multipliers(margin: FloatArray, violations: tuple[FloatArray, FloatArray], *, rate: float) -> FloatArray:
    """One round of the multipliers of the margins, (K,); they may be negative.

    Args:
        margin: (K,) multipliers so far.
        violations: what :meth:`FRLErrors.violations` gave.
        rate: step.
    """
    return margin + rate * violations[1]


def frl_margin_scale(margin: FloatArray, *, low: float = 0.98, high: float = 3.0) -> FloatArray:
    """(K,) factor on each class's budget: exp(2 l), clamped to [low, high]."""
    # The exponent is clamped first: a multiplier that has grown for hundreds of epochs must not overflow.
    return np.exp(np.clip(2.0 * margin, np.log(low), np.log(high)))
