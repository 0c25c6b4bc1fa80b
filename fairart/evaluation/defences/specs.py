"""Which defences are tried, under which label and with which options: what the user wrote, resolved and checked before work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from art.estimators.classification import PyTorchClassifier

from fairart.errors import OptionError, PluginError
from fairart.evaluation.defences.base import Defence
from fairart.evaluation.named_parts import named_parts
from fairart.plugins import BUILTIN

__all__ = ["DefenceSpec", "Defences", "resolve_defences"]

Defences = str | Mapping[str, Mapping[str, Any]] | Sequence[str | tuple[str, Mapping[str, Any]]]
"""Names, (name, options) pairs, or label -> options. Among options, ``defence`` names it and ``label`` its label."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class DefenceSpec:
    """One defence to try.

    Args:
        label: under which the result stands.
        name: registered name.
        plugin: who supplies it.
        defence: the defence, options filled in.
        options: every option with its value, defaults included.
        notes: what it said about itself and the classifier.
    """

    label: str
    name: str
    plugin: str
    defence: Defence
    options: dict[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Callable[..., Any]:
        """The class, for fingerprints."""
        return type(self.defence)

    @property
    def who(self) -> str:
        """The defence as messages call it."""
        return f"defence {self.label!r} ({self.name!r} of plugin {self.plugin!r})"

    @property
    def config(self) -> dict[str, Any]:
        """What stands beside the numbers: name, plugin, options, whether it is random, and its stand-in in the gradient."""
        defence = self.defence
        return {
            "defence": self.name,
            "plugin": self.plugin,
            "options": dict(self.options),
            "random": defence.random,
            "stand_in": defence.stand_in_name,
            **({"notes": dict(self.notes)} if self.notes else {}),
        }

    def asked(self, call: Callable[[], Answer]) -> Answer:
        """What a call of the defence gives; an exception of a third party's defence names the plugin.

        Raises:
            PluginError: a third party's defence raised something that says nothing about options.
        """
        try:
            return call()
        except Exception as error:  # a third-party defence may raise any exception; the message names it
            if self.plugin == BUILTIN or isinstance(error, OptionError | ImportError):
                raise
            raise PluginError(f"plugin {self.plugin!r}: defence {self.name!r} raised {type(error).__name__}: {error}") from error

    def checked(self, classifier: PyTorchClassifier) -> DefenceSpec:
        """The same defence, after its own check on the classifier.

        Raises:
            OptionError: its inputs have no known range, or cannot be defended in this way.
            PluginError: the check of a third party raised something else.
        """
        clip = classifier.clip_values
        if clip is None or not np.isfinite(np.asarray(clip, dtype=np.float64)).all():
            raise OptionError(
                f"defence {self.name!r} needs to know the range of the inputs: make the PyTorchClassifier with "
                "clip_values=(0, 1), or whatever the range is"
            )
        return replace(self, notes=dict(self.asked(lambda: self.defence.check(classifier)) or {}))


def resolve_defences(defences: Defences) -> list[DefenceSpec]:
    """Look the defences up and check their options.

    Args:
        defences: see :data:`Defences`.

    Returns:
        One spec each, in the order given.

    Raises:
        TypeError: an item of another form, or a plugin's thing that is no defence.
        UnknownNameError: no such defence.
        OptionError: an unknown option or a bad value.
        ValueError: two of one label.
    """
    return [
        DefenceSpec(label=one.label, name=one.name, plugin=one.plugin, defence=one.part, options=one.options)
        for one in named_parts(defences, "defence", Defence)
    ]
