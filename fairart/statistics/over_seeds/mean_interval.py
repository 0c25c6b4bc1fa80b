"""Mean, spread and Student's interval of a number that was measured with several seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.statistics.levels import checked_level

__all__ = ["MeanInterval", "mean_interval"]

_ALIKE = 1e-12  # accuracies are shares of counts: a smaller spread is a rounding error


@dataclass(frozen=True)
class MeanInterval:
    """The result of :func:`mean_interval`.

    Args:
        mean: NaN if there is no value.
        std: sample standard deviation, divided by count - 1; NaN below two values.
        interval: lower and upper end of the mean over all seeds; NaN if the spread is unknown.
        count: number of values.
        level: confidence level of the interval.
    """

    mean: float
    std: float
    interval: tuple[float, float]
    count: int
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN stays NaN."""
        return {
            "mean": self.mean,
            "std": self.std,
            "interval": list(self.interval),
            "level": self.level,
            "seeds": self.count,
        }


def mean_interval(
    values: npt.ArrayLike, *, level: float = 0.95, limits: tuple[float, float] = (-math.inf, math.inf)
) -> MeanInterval:
    """Mean, sample standard deviation and Student's t interval of the mean (Student, Biometrika 1908).

    The interval is about training again with other seeds; the test samples are taken as given. It takes the numbers as normally
    distributed over seeds.

    Args:
        values: (seeds,) numbers. NaN, as of a cell that failed, are left out.
        level: confidence level of the interval, in (0, 1).
        limits: smallest and largest possible mean, such as (0, 1) for shares; the interval is cut off there.

    Returns:
        The summary. If all values are the same, their spread over other seeds is unknown, and the interval is NaN.

    Raises:
        ValueError: values of another shape or infinite ones, or a bad level.
    """
    numbers = np.asarray(values, dtype=np.float64)
    checked_level(level)
    if numbers.ndim != 1 or np.isinf(numbers).any():
        raise ValueError(f"expected finite numbers of shape (seeds,), got shape {numbers.shape}")
    numbers = numbers[~np.isnan(numbers)]
    count = len(numbers)
    mean = float(numbers.mean()) if count else math.nan
    std = float(numbers.std(ddof=1)) if count > 1 else math.nan
    if math.isnan(std) or std <= _ALIKE:
        return MeanInterval(mean, std, (math.nan, math.nan), count, level)
    # Not at the top: training imports this package, and has no use for scipy.
    from scipy.special import stdtrit

    half = float(stdtrit(count - 1, 0.5 + level / 2)) * std / math.sqrt(count)
    ends = float(max(limits[0], mean - half)), float(min(limits[1], mean + half))
    return MeanInterval(mean, std, ends, count, level)
