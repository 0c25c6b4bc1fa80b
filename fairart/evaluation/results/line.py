"""The line from clean to shifted accuracy: do places that are better on clean data stay better on shifted data?

Over models, accuracies on two test sets often lie on a line once both are put on a probit scale (Taori et al., NeurIPS 2020;
Miller et al., ICML 2021). A point above the line is more robust to the shift than its clean accuracy says. The same line is
drawn here over the classes of one model, or over models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

__all__ = ["Line", "fitted_line", "probit"]

FloatArray = npt.NDArray[np.float64]

FEWEST = 3
"""Points from which there is a line: through two there always is one."""


def probit(correct: npt.ArrayLike, total: npt.ArrayLike) -> FloatArray:
    """Accuracies on the probit scale, with half a sample added to right and wrong ones so that 0 and 1 stay finite (ours).

    Args:
        correct: (m,) right samples.
        total: (m,) samples; NaN is given for 0.
    """
    right, number = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    found: FloatArray = np.where(number > 0, ndtri((right + 0.5) / (number + 1)), np.nan)
    return found


@dataclass(frozen=True)
class Line:
    """A least-squares line on the probit scale: shifted = intercept + slope clean.

    Args:
        slope: of the line.
        intercept: of the line.
        correlation: of Pearson, on that scale; NaN if all points have one accuracy.
        points: number of classes or models.
    """

    slope: float
    intercept: float
    correlation: float
    points: int

    def at(self, accuracy: float) -> float:
        """The shifted accuracy that the line gives for a clean accuracy in (0, 1)."""
        return float(ndtr(self.intercept + self.slope * ndtri(accuracy)))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"slope": self.slope, "intercept": self.intercept, "correlation": self.correlation, "points": self.points}


def fitted_line(clean: FloatArray, shifted: FloatArray) -> Line | None:
    """The line through points on the probit scale; None for fewer than three, or where all have one clean accuracy.

    Args:
        clean: (m,) of :func:`probit`; NaN is left out.
        shifted: (m,) of the same classes or models.
    """
    there = ~(np.isnan(clean) | np.isnan(shifted))
    x, y = clean[there], shifted[there]
    if len(x) < FEWEST or np.ptp(x) < 1e-12:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    correlation = float(np.corrcoef(x, y)[0, 1]) if np.ptp(y) > 1e-12 else math.nan
    return Line(float(slope), float(intercept), correlation, len(x))
