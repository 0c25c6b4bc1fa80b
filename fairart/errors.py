"""The errors of fairart, and the one way in which an unknown name is reported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["OptionError", "PluginError", "PolicyError", "UnknownNameError", "WeightsError", "nearest"]


class OptionError(ValueError):
    """An option is unknown, of the wrong type, or outside its declared range."""


class UnknownNameError(ValueError):
    """A name is registered nowhere."""


class PluginError(RuntimeError):
    """A plugin broke a rule of the plugin system; the message names the plugin and the rule."""


class PolicyError(ValueError):
    """A policy answered with something the engine cannot train with; the message names the policy and the rule."""


class WeightsError(ValueError):
    """A weight file cannot be read, holds no weights, or does not fit the model; the message says what would help."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are meant, for the end of an error message.

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
