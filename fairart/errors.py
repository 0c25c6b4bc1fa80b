"""The errors of fairart."""

from __future__ import annotations

__all__ = ["OptionError", "PluginError", "PolicyError", "UnknownNameError", "WeightsError"]


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
