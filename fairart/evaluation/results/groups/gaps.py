"""Gaps between groups, by the names and definitions of fairlearn (Weerts et al., JMLR 2023).

fairlearn is not needed to compute them; the tests hold these numbers against its ``MetricFrame`` and its metrics. One thing
differs: a group without samples of a class has no recall of it. It is NaN here and left out, where fairlearn takes 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairart.statistics import ConfusionMatrix

__all__ = ["Gaps", "difference", "difference_to_overall", "gaps", "ratio", "ratio_to_overall"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Gaps:
    """How far apart groups are. Differences are in [0, 1], ratios too: 0 and 1 are equal groups; NaN where not defined.

    The first six are of the accuracy (``MetricFrame`` with ``accuracy_score``). The others are of each class against the rest:
    (K,) arrays, where a prediction of class k counts as positive.

    Args:
        group_min: lowest accuracy of a group.
        group_max: highest accuracy of a group.
        difference: ``difference(method="between_groups")``: highest less lowest.
        difference_to_overall: ``difference(method="to_overall")``: largest distance from the accuracy over all.
        ratio: ``ratio(method="between_groups")``: lowest over highest.
        ratio_to_overall: ``ratio(method="to_overall")``: smallest ratio to the accuracy over all, inverted where above 1.
        demographic_parity_difference: of the share of samples that is predicted as the class.
        equal_opportunity_difference: of the recall of the class.
        equalized_odds_difference: the larger one of the differences of recall and of false positive rate.
        demographic_parity_ratio: as its difference.
        equal_opportunity_ratio: as its difference.
        equalized_odds_ratio: the smaller one of the ratios of recall and of false positive rate.
    """

    group_min: float
    group_max: float
    difference: float
    difference_to_overall: float
    ratio: float
    ratio_to_overall: float
    demographic_parity_difference: FloatArray
    equal_opportunity_difference: FloatArray
    equalized_odds_difference: FloatArray
    demographic_parity_ratio: FloatArray
    equal_opportunity_ratio: FloatArray
    equalized_odds_ratio: FloatArray


def _lowest(values: FloatArray) -> FloatArray:
    """Minimum over the groups, the first axis; NaN values are left out, and NaN is what is left of none."""
    found: FloatArray = np.where(np.isnan(values), np.inf, values).min(axis=0)
    return np.where(np.isinf(found), np.nan, found)


def _highest(values: FloatArray) -> FloatArray:
    return -_lowest(-values)


def difference(by_group: FloatArray) -> FloatArray:
    """(...) highest less lowest over the groups.

    Args:
        by_group: (G, ...) rates of the groups; NaN is left out.
    """
    return _highest(by_group) - _lowest(by_group)


def difference_to_overall(by_group: FloatArray, overall: float) -> FloatArray:
    """(...) largest distance of a group from the rate over all.

    Args:
        by_group: (G, ...) rates of the groups; NaN is left out.
        overall: rate over all samples.
    """
    return _highest(np.abs(by_group - overall))


def ratio(by_group: FloatArray) -> FloatArray:
    """(...) lowest over highest rate of the groups; NaN where all are 0.

    Args:
        by_group: (G, ...) rates of the groups; NaN is left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = _lowest(by_group) / _highest(by_group)
    return found


def ratio_to_overall(by_group: FloatArray, overall: float) -> float:
    """Smallest ratio of a group to the rate over all, or of that to the group, whichever is below 1; NaN where that rate is 0.

    Args:
        by_group: (G,) rates of the groups; NaN is left out.
        overall: rate over all samples.
    """
    if overall == 0:
        return math.nan
    ratios = by_group / overall
    with np.errstate(divide="ignore"):
        return float(_lowest(np.where(ratios > 1, 1 / ratios, ratios)))


def gaps(confusions: list[ConfusionMatrix], overall: float) -> Gaps:
    """Every gap between groups.

    Args:
        confusions: a confusion matrix of K classes for each of the G groups; groups without samples are left out.
        overall: accuracy over all samples.
    """
    counts = np.stack([one.counts for one in confusions]).astype(np.float64)
    accuracy = np.array([one.accuracy for one in confusions])
    right, true, predicted = np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)
    total = true.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, chosen, false_positive = right / true, predicted / total, (predicted - right) / (total - true)
    return Gaps(
        group_min=float(_lowest(accuracy)),
        group_max=float(_highest(accuracy)),
        difference=float(difference(accuracy)),
        difference_to_overall=float(difference_to_overall(accuracy, overall)),
        ratio=float(ratio(accuracy)),
        ratio_to_overall=ratio_to_overall(accuracy, overall),
        demographic_parity_difference=difference(chosen),
        equal_opportunity_difference=difference(recall),
        equalized_odds_difference=np.fmax(difference(recall), difference(false_positive)),
        demographic_parity_ratio=ratio(chosen),
        equal_opportunity_ratio=ratio(recall),
        equalized_odds_ratio=np.fmin(ratio(recall), ratio(false_positive)),
    )
