"""Looks through a data set before anything is trained on it: counts, ranges, duplicates, one colour, suspected label errors."""

from __future__ import annotations

from fairart.datasets.checking.check import check_dataset
from fairart.datasets.checking.duplicates import exact_duplicates, near_duplicates
from fairart.datasets.checking.label_errors import LabelErrors, confident_learning, out_of_fold_probabilities
from fairart.datasets.checking.report import DataReport

__all__ = [
    "DataReport",
    "LabelErrors",
    "check_dataset",
    "confident_learning",
    "exact_duplicates",
    "near_duplicates",
    "out_of_fold_probabilities",
]
