"""Confidence intervals of shares."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["wilson_interval"]


def wilson_interval(correct: npt.ArrayLike, total: npt.ArrayLike, *, level: float = 0.95) -> npt.NDArray[np.float64]:
    """Wilson's score interval of a share (Wilson, 1927): sound for few samples and for shares near 0 and 1.

    Args:
        correct: counts of successes, any shape (...).
        total: counts of trials, same shape.
        level: confidence level in (0, 1).

    Returns:
        (..., 2) lower and upper end in [0, 1]; NaN where there was no trial.

    Raises:
        ValueError: ``level`` outside (0, 1), or counts not within 0 <= correct <= total.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    hits, trials = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if (hits < 0).any() or (hits > trials).any():
        raise ValueError("expected counts with 0 <= correct <= total")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / trials
        scale = 1 + z**2 / trials
        centre = (share + z**2 / (2 * trials)) / scale
        half = z / scale * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    ends: npt.NDArray[np.float64] = np.stack([centre - half, centre + half], axis=-1)
    return np.clip(ends, 0.0, 1.0)
