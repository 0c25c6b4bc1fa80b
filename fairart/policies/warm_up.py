"""Warm-up: the epochs in which a method still trains as its base objective does."""

from __future__ import annotations

from fairart.statistics import EpochStatistics

__all__ = ["CFA_SHARE", "past_warm_up"]

CFA_SHARE = 1 / 20
"""Share of the run before CFA's policies set in: epoch 10 of 200."""


def past_warm_up(warm_up: int | None, statistics: EpochStatistics, *, share: float) -> bool:
    """Whether the epoch after the one that ended lies behind the warm-up.

    Args:
        warm_up: number of warm-up epochs; None for a share of the run.
        statistics: of the epoch that ended; says how long the run is.
        share: of the run, in [0, 1], where ``warm_up`` is None; at least one epoch.
    """
    epochs = max(1, round(share * statistics.nb_epochs)) if warm_up is None else warm_up
    return statistics.epoch + 1 >= epochs
