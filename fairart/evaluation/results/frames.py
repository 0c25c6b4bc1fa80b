"""Evaluations as pandas data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.flags import failed_checks
from fairart.notebooks import data_frame

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["evaluation_frame"]


def evaluation_frame(result: EvaluationData) -> DataFrame:
    """One row a class and attack; see :meth:`fairart.evaluation.EvaluationResult.to_frame`."""
    columns = ("attack", "class", "name", "n", "correct", "accuracy", "low", "high", "worst", "doubtful")
    rows = []
    for label, attack in result.items():
        right, total, ends = np.diag(attack.confusion.counts), attack.confusion.support, attack.confidence_interval
        names, worst = result.class_names or [str(index) for index in range(result.nb_classes)], attack.worst_class
        doubtful = bool(failed_checks(attack, result.checks))
        for index, accuracy in enumerate(attack.class_accuracy):
            counts = int(total[index]), int(right[index]), float(accuracy), *map(float, ends[index])
            values = (label, index, names[index], *counts, index == worst, doubtful)
            rows.append(dict(zip(columns, values, strict=True)))
    return data_frame(rows, columns)
