"""Evaluations of the same samples compared: differences, intervals and paired tests of two results or of two methods."""

from __future__ import annotations

from fairart.evaluation.results.comparing.common import PairedTest, check_same_samples
from fairart.evaluation.results.comparing.methods import MethodDifference, best_probability, compare_methods
from fairart.evaluation.results.comparing.paired_tests import (
    mcnemar,
    mcnemar_counts,
    paired_t,
    sign_flip_p_value,
)
from fairart.evaluation.results.comparing.scored_runs import score_runs
from fairart.evaluation.results.comparing.worst_class_difference import worst_class_difference

__all__ = [
    "MethodDifference",
    "PairedTest",
    "best_probability",
    "check_same_samples",
    "compare_methods",
    "mcnemar",
    "mcnemar_counts",
    "paired_t",
    "score_runs",
    "sign_flip_p_value",
    "worst_class_difference",
]
