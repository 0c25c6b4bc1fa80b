"""Evaluation class by class: clean data, attacks and corruptions in, one :class:`EvaluationResult` out."""

from __future__ import annotations

from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.checks import SanityCheck
from fairart.evaluation.corruption_results import CorruptionResults
from fairart.evaluation.errors import DamagedFileError, EvaluationError
from fairart.evaluation.evaluate import evaluate
from fairart.evaluation.outcome import AttackResult, Perturbation
from fairart.evaluation.partial import remove_partial
from fairart.evaluation.result import EvaluationResult

__all__ = [
    "AttackResult",
    "AttackTarget",
    "CorruptionResults",
    "DamagedFileError",
    "EvaluationError",
    "EvaluationResult",
    "Perturbation",
    "SanityCheck",
    "evaluate",
    "remove_partial",
]
