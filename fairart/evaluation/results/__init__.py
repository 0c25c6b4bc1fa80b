"""Results of an evaluation: numbers of each class, their intervals, tables, comparisons and files."""

from __future__ import annotations

from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.outcome import AttackResult, Perturbation
from fairart.evaluation.results.result import EvaluationResult
from fairart.evaluation.results.sanity_check import SanityCheck

__all__ = ["AttackResult", "CorruptionResults", "EvaluationResult", "Perturbation", "SanityCheck"]
