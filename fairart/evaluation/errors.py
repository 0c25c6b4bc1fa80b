"""What goes wrong while evaluating."""

from __future__ import annotations

__all__ = ["DamagedFileError", "EvaluationError"]


class EvaluationError(RuntimeError):
    """A result would be meaningless; the message says what happened and what usually causes it."""


class DamagedFileError(ValueError):
    """A file is no evaluation of fairart, or not a whole one."""
