"""The part of an error message that names what was probably meant by an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the known names closest to an unknown one, for the end of an error message.

    Args:
        name: what the user wrote.
        known: what would have been accepted.

    Returns:
        ``"did you mean 'x' or 'y'?"`` where something is close, else the list of all known names.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.55)
    if close:
        return "did you mean " + " or ".join(repr(word) for word in close) + "?"
    return "known: " + (", ".join(names) if names else "none")
