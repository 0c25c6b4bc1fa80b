"""Which attacks run, under which label and with which options: what the user wrote, resolved and checked before any work."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks.common import ClipValues
from fairart.errors import OptionError, PluginError
from fairart.evaluation.attacks.norms import hold, norm_order
from fairart.evaluation.attacks.preflight import Preflight
from fairart.plugins import BUILTIN, create, get_plugin_manager
from fairart.plugins.options import declared_options

__all__ = ["AttackSpec", "Attacks", "named_options", "resolve_attacks"]

Attacks = str | Mapping[str, Mapping[str, Any]] | Sequence[str | tuple[str, Mapping[str, Any]]]
"""Names, (name, options) pairs, or label -> options. Among options, ``attack`` names the attack and ``label`` its label."""

RUNTIME = frozenset({"generator"})
"""Keyword parameters of an attack that the evaluation fills in."""

RESERVED_LABELS = frozenset({"clean", "worst-case"})


@dataclass(frozen=True)
class AttackSpec:
    """One attack to run.

    Args:
        label: under which the result stands.
        name: registered name.
        plugin: who supplies it.
        run: the function with its options filled in, ``run(target, x, y)``.
        takes_generator: whether ``run`` has a ``generator`` parameter.
        options: every option with its value, defaults included.
        preflight: the attack's own check before any work, or None.
        notes: what that check said.
        returns_input: whether the attack gives an input back as it was where it found nothing.
    """

    label: str
    name: str
    plugin: str
    run: Callable[..., Any]
    takes_generator: bool
    options: dict[str, Any] = field(default_factory=dict)

    preflight: Preflight | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    returns_input: bool = False

    @property
    def order(self) -> float | None:
        """Order of the norm of the budget: inf, 2, or None for another one."""
        return norm_order(self.options.get("norm", "inf"))

    @property
    def radius(self) -> float:
        """Budget in that norm; infinite for an attack that has none."""
        eps = self.options.get("eps")
        return float(eps) if isinstance(eps, int | float) else math.inf

    @property
    def eps(self) -> float:
        """L-inf budget that the output is held to; infinite for an attack that has none, or measures it in another norm."""
        return self.radius if self.order == math.inf else math.inf

    def hold(self, x_adv: Tensor, x: Tensor, clip_values: ClipValues) -> Tensor:
        """The (n, ...) output of the attack, projected onto its budget around ``x`` and the clip values."""
        return hold(x_adv, x, eps=self.radius, order=self.order, clip_values=clip_values)

    @property
    def config(self) -> dict[str, Any]:
        """What stands beside the numbers: attack, plugin, all options, and what the attack says about itself."""
        options = {key: _described(value) for key, value in self.options.items()}
        return {
            "attack": self.name,
            "plugin": self.plugin,
            "options": options,
            **({"notes": dict(self.notes)} if self.notes else {}),
        }

    def checked(self, classifier: PyTorchClassifier) -> AttackSpec:
        """The same attack, after its own check on the classifier.

        Raises:
            OptionError: it cannot run on this classifier.
            ImportError: it needs a package that is not installed.
            PluginError: the check of a third party raised something else.
        """
        if self.preflight is None:
            return self
        try:
            notes = self.preflight(classifier, self.options)
        except Exception as error:  # a third-party check may raise any exception; the message names it
            if self.plugin == BUILTIN or isinstance(error, OptionError | ImportError | UserWarning):
                raise
            raise PluginError(
                f"plugin {self.plugin!r}: the check of attack {self.name!r} raised {type(error).__name__}: {error}"
            ) from error
        return replace(self, notes=dict(notes or {}))


def _described(value: Any) -> Any:
    if not isinstance(value, PyTorchClassifier):
        return value
    digest = hashlib.blake2b(digest_size=4)
    for name, tensor in value.model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{type(value.model).__name__} with weights {digest.hexdigest()}"


def resolve_attacks(attacks: Attacks) -> list[AttackSpec]:
    """Look the attacks up and check their options.

    Args:
        attacks: see :data:`Attacks`.

    Returns:
        One spec each, in the order given.

    Raises:
        TypeError: an item of another form.
        UnknownNameError: no such attack.
        OptionError: an unknown option or a bad value.
        ValueError: two of one label, or a label that is taken.
    """
    specs = [_resolve(item, options) for item, options in named_options(attacks, kind="attack")]
    seen: set[str] = set()
    for spec in specs:
        if spec.label in RESERVED_LABELS:
            raise ValueError(f"the label {spec.label!r} is taken by the evaluation itself; choose another one")
        if spec.label in seen:
            raise ValueError(
                f"two attacks are labelled {spec.label!r}; give one its own label, as in "
                f"({spec.name!r}, {{'label': '{spec.name}-2', ...}})"
            )
        seen.add(spec.label)
    return specs


def named_options(chosen: Attacks, *, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Names with their options, in the order given.

    Args:
        chosen: a name, names, (name, options) pairs, or label -> options; see :data:`Attacks`.
        kind: what they name, ``"attack"`` or another kind, for messages.

    Raises:
        TypeError: an item of another form.
    """
    if isinstance(chosen, str):
        return [(chosen, {})]
    if isinstance(chosen, Mapping):
        return [(label, {"label": label, **(_mapping(options, label, kind))}) for label, options in chosen.items()]
    if not isinstance(chosen, Iterable):
        raise TypeError(f"{kind}s expects names, (name, options) pairs or a mapping, got {chosen!r}")
    pairs: list[tuple[str, Mapping[str, Any]]] = []
    for item in chosen:
        if isinstance(item, str):
            pairs.append((item, {}))
        elif isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str):
            pairs.append((item[0], _mapping(item[1], item[0], kind)))
        else:
            raise TypeError(f"{kind}s expects names or (name, options) pairs, got {item!r}")
    return pairs


def _mapping(options: Any, name: str, kind: str) -> Mapping[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f"the options of {kind} {name!r} must be a mapping, got {options!r}")
    return options


def _resolve(item: str, given: Mapping[str, Any]) -> AttackSpec:
    options = dict(given)
    name = options.pop("attack", item)
    label = options.pop("label", item)
    if not isinstance(name, str) or not isinstance(label, str) or not label.strip():
        raise TypeError(f"'attack' and 'label' of attack {item!r} must be text, got {name!r} and {label!r}")
    for reserved in sorted(RUNTIME & options.keys()):
        raise OptionError(f"attack {name!r}: {reserved!r} is filled in by the evaluation; set evaluate(..., seed=...) instead")
    registration, _ = get_plugin_manager().find("attack", name)
    run = create("attack", name, **options)
    factory = registration.load()
    declared = declared_options(factory, keyword_only=True)
    parameters = inspect.signature(factory).parameters.values()
    missing = [key for key, spec in declared.items() if spec.required and key not in options and key not in RUNTIME]
    if missing:
        raise OptionError(f"attack {name!r} needs {', '.join(missing)}")
    chosen = run.keywords
    full = {key: chosen.get(key, spec.default) for key, spec in declared.items() if key not in RUNTIME}
    return AttackSpec(
        label=label,
        name=name,
        plugin=registration.plugin,
        run=run,
        takes_generator="generator" in declared or any(p.kind is p.VAR_KEYWORD for p in parameters),
        options={**full, **{key: value for key, value in chosen.items() if key not in full}},
        preflight=getattr(factory, "preflight", None),
        returns_input=getattr(factory, "returns_input", False),
    )
