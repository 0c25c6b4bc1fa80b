"""Two evaluations of the same samples compared: differences, intervals and paired tests."""

from __future__ import annotations

from fairart.evaluation.results.comparing.common import PairedTest, check_same_samples
from fairart.evaluation.results.comparing.paired_tests import (
    mcnemar,
    mcnemar_counts,
    paired_t,
    sign_flip_p_value,
)
from fairart.evaluation.results.comparing.worst_class_difference import worst_class_difference

__all__ = [
    "PairedTest",
    "check_same_samples",
    "mcnemar",
    "mcnemar_counts",
    "paired_t",
    "sign_flip_p_value",
    "worst_class_difference",
]
