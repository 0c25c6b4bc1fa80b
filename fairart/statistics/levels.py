"""The check of a confidence level."""

from __future__ import annotations

__all__ = ["checked_level"]


def checked_level(level: float) -> float:
    """Return a confidence level, or raise ValueError if it is outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    return level
