"""Mean corruption error: errors under corruption, relative to those of a reference model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["mean_corruption_error"]


def mean_corruption_error(errors: Mapping[str, Sequence[float]], reference: Mapping[str, Sequence[float]] | None = None) -> float:
    """Mean over corruptions of the error, summed over severities, over that of a reference (Hendrycks & Dietterich, ICLR 2019).

    Flip rates along perturbation sequences make the mean flip rate in the same way, each as a sequence of one.

    Args:
        errors: corruption -> error at each severity, shares in [0, 1], the same number of severities for all.
        reference: the same of a reference model; None for the plain mean over corruptions and severities.

    Returns:
        1 where the model errs as often as the reference, lower is better (1.0 is 100 % in the paper). NaN where the
        reference makes no error under some corruption.

    Raises:
        ValueError: no corruption, an error outside [0, 1], or a reference with other corruptions or severities.
    """
    mine = _checked(errors, "errors")
    if reference is None:
        return float(np.mean([np.mean(row) for row in mine.values()]))
    theirs = _checked(reference, "reference")
    if {name: len(row) for name, row in mine.items()} != {name: len(row) for name, row in theirs.items()}:
        raise ValueError("errors and reference must have the same corruptions at the same severities")
    totals = {name: sum(row) for name, row in theirs.items()}
    if not all(totals.values()):
        return math.nan
    return float(np.mean([sum(row) / totals[name] for name, row in mine.items()]))


def _checked(errors: Mapping[str, Sequence[float]], what: str) -> dict[str, list[float]]:
    rows = {name: [float(error) for error in row] for name, row in errors.items()}
    if not rows or len({len(row) for row in rows.values()}) != 1 or not all(rows.values()):
        raise ValueError(f"{what}: expected at least one corruption, and the same severities for all")
    for name, row in rows.items():
        if not all(0 <= error <= 1 for error in row):
            raise ValueError(f"{what}: errors of {name} must be shares in [0, 1], got {row}")
    return rows
