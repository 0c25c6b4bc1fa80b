"""Evaluation class by class: clean data, attacks and corruptions in, one :class:`EvaluationResult` out."""

from __future__ import annotations

from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.errors import DamagedFileError, EvaluationError
from fairart.evaluation.evaluate import evaluate
from fairart.evaluation.ood.settings import OodSettings
from fairart.evaluation.results.affine_results import AffineResults
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.groups import GroupedResult, Groups
from fairart.evaluation.results.ood_detection import Detection
from fairart.evaluation.results.ood_results import OodResults
from fairart.evaluation.results.outcome import AttackResult, Perturbation
from fairart.evaluation.results.result import EvaluationResult
from fairart.evaluation.results.sanity_check import SanityCheck
from fairart.evaluation.results.shift_results import ShiftResults
from fairart.evaluation.results.temperature import TemperatureResults
from fairart.evaluation.running.partial import remove_partial

__all__ = [
    "AffineResults",
    "AttackResult",
    "AttackTarget",
    "CertificateResult",
    "CorruptionResults",
    "DamagedFileError",
    "DefenceResult",
    "DefendedAttack",
    "Detection",
    "EvaluationError",
    "EvaluationResult",
    "GroupedResult",
    "Groups",
    "OodResults",
    "OodSettings",
    "Perturbation",
    "SanityCheck",
    "ShiftResults",
    "TemperatureResults",
    "evaluate",
    "remove_partial",
]
