"""What goes wrong while bounding a network."""

from __future__ import annotations

__all__ = ["NoBoundsError"]


class NoBoundsError(ValueError):
    """A network has a layer or an operation that cannot be bounded; the message names it."""
