"""Holm's correction of p-values for the number of comparisons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["holm"]

FloatArray = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjust p-values so that the probability of any false finding among them is at most the threshold.

    The smallest p-value is multiplied by the number m of comparisons, the next by m - 1, and so on; an adjusted value is never
    below the one before (Holm, Scandinavian Journal of Statistics 1979). It holds whatever the dependence of the tests.

    Args:
        p_values: (m,) p-values in [0, 1], one for each *planned* comparison. NaN, where a test could not be made, stays NaN and
            still counts in m: it was planned.

    Returns:
        (m,) adjusted values in [0, 1]; a comparison is a finding if its value is below the threshold.

    Raises:
        ValueError: values of another shape, or outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or (values < 0).any() or (values > 1).any():
        raise ValueError(f"expected p-values in [0, 1] of shape (m,), got {values!r}")
    order = np.argsort(values)  # NaN are last
    factors = len(values) - np.arange(len(values))
    stepped = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    adjusted = np.empty_like(values)
    adjusted[order] = stepped
    return adjusted
