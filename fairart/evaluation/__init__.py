"""Evaluation class by class: clean data and attacks in, one :class:`EvaluationResult` out."""

from __future__ import annotations

from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.checks import SanityCheck
from fairart.evaluation.errors import DamagedFileError, EvaluationError
from fairart.evaluation.evaluate import evaluate
from fairart.evaluation.outcome import AttackResult, Perturbation
from fairart.evaluation.result import EvaluationResult

__all__ = [
    "AttackResult",
    "AttackTarget",
    "DamagedFileError",
    "EvaluationError",
    "EvaluationResult",
    "Perturbation",
    "SanityCheck",
    "evaluate",
]
