"""Which numbers a failed sanity check makes doubtful: the one rule for tables, comparisons, pages and files."""

from __future__ import annotations

from collections.abc import Iterable

from fairart.evaluation.results.data import CLEAN
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.sanity_check import SanityCheck

__all__ = ["FAILED", "failed_checks"]

FAILED = "!"
"""Stands beside a number whose sanity check failed."""


def failed_checks(result: AttackResult, checks: Iterable[SanityCheck]) -> list[SanityCheck]:
    """The failed checks that make the numbers of one result doubtful.

    A check of one attack is about that attack, and about every worst case that includes it. A check of no single attack is
    about the model under attack, so about all results but the clean one.

    Args:
        result: of an attack, of clean data, or a worst case.
        checks: all checks of the evaluation.
    """
    about = {result.label, *result.config.get("over", ())}
    return [
        check
        for check in checks
        if not check.passed and (check.attack in about or (check.attack is None and result.label != CLEAN))
    ]
