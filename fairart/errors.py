"""The errors of fairart."""

from __future__ import annotations

__all__ = ["NotEnoughMemoryError", "OptionError", "PluginError", "PolicyError", "UnknownNameError", "WeightsError"]


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


class NotEnoughMemoryError(RuntimeError):
    """A batch does not fit into memory; the message says which, and what would fit where that is known.

    Args:
        message: the sentence.
        batch_size: samples of the batch that did not fit; None where that is not known.
    """

    def __init__(self, message: str, *, batch_size: int | None = None) -> None:
        super().__init__(message)
        self.batch_size = batch_size
