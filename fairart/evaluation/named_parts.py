"""Parts that a user names with options and labels, such as certificates and defences: looked up, checked and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fairart.errors import PluginError
from fairart.evaluation.attacks.specs import named_options
from fairart.plugins import create, get_plugin_manager
from fairart.plugins.options import declared_options, validate_options

__all__ = ["NamedPart", "named_parts"]

Part = TypeVar("Part")

Wanted = str | Mapping[str, Mapping[str, Any]] | Sequence[str | tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class NamedPart(Generic[Part]):
    """A part with what stands beside its numbers.

    Args:
        label: under which the result stands.
        name: registered name.
        plugin: that registered it.
        part: the part itself.
        options: all of them, with defaults.
    """

    label: str
    name: str
    plugin: str
    part: Part
    options: dict[str, Any]


def named_parts(wanted: Wanted, kind: str, base: type[Part]) -> list[NamedPart[Part]]:
    """Look parts of a kind up, check their options and make them.

    Args:
        wanted: names, (name, options) pairs, or label -> options.
        kind: registered kind, such as ``"certificate"``; also the option that names a part under a label.
        base: class that parts of this kind are instances of.

    Returns:
        One each, in the order given.

    Raises:
        TypeError: an item of another form.
        PluginError: a plugin's thing that is no instance of ``base``.
        UnknownNameError: no such part.
        OptionError: an unknown option or a bad value.
        ValueError: two of one label.
    """
    found = [_made(item, options, kind, base) for item, options in named_options(wanted, kind=kind)]
    seen: set[str] = set()
    for one in found:
        if one.label in seen:
            raise ValueError(
                f"two {kind}s are labelled {one.label!r}; give one its own label, as in "
                f"({one.name!r}, {{'label': '{one.name}-2', ...}})"
            )
        seen.add(one.label)
    return found


def _made(item: str, given: Mapping[str, Any], kind: str, base: type[Part]) -> NamedPart[Part]:
    options = dict(given)
    name, label = options.pop(kind, item), options.pop("label", item)
    if not isinstance(name, str) or not isinstance(label, str) or not label.strip():
        raise TypeError(f"{kind!r} and 'label' of {kind} {item!r} must be text, got {name!r} and {label!r}")
    registration, _ = get_plugin_manager().find(kind, name)
    part = create(kind, name, **options)
    if not isinstance(part, base):
        raise PluginError(
            f"plugin {registration.plugin!r}: {kind} {name!r} must be a fairart.evaluation.{kind}s.{base.__name__}, "
            f"got {type(part).__name__}"
        )
    factory = registration.load()
    chosen = validate_options(factory, options, where=f"{kind} {name!r}")
    full = {key: chosen.get(key, spec.default) for key, spec in declared_options(factory).items()}
    return NamedPart(label=label, name=name, plugin=registration.plugin, part=part, options=full)
