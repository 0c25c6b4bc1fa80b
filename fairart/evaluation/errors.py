"""What goes wrong while evaluating."""

from __future__ import annotations

__all__ = ["DamagedFileError", "EvaluationError"]


class EvaluationError(RuntimeError):
    """A number that would have come out means nothing; the message says what happened and what usually causes it."""


class DamagedFileError(ValueError):
    """A file is no evaluation of fairart, or not a whole one."""
