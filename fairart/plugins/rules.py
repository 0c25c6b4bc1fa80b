"""The rules that a plugin is held against before anything of it is registered; each error says which one it broke."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pluggy

from fairart.did_you_mean import did_you_mean
from fairart.errors import PluginError
from fairart.plugins import hookspecs

__all__ = ["check_entry", "check_hooks", "check_signature"]


def check_hooks(plugin: object, manager: pluggy.PluginManager) -> None:
    """Hold a plugin's hooks against the specifications, before pluggy registers half of them."""
    specs = {name: inspect.signature(spec) for name, spec in vars(hookspecs).items() if name.startswith("fairart_")}
    hooks = 0
    for attribute in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, attribute)
        if marks is None:
            if attribute in specs and getattr(plugin, attribute) is not getattr(hookspecs, attribute):
                raise PluginError(f"{attribute} is not marked with @hookimpl")
            continue
        hooks += 1
        name = marks["specname"] or attribute
        if name in specs:
            check_signature(name, getattr(plugin, attribute), specs[name], marks)
        elif not marks["optionalhook"]:
            raise PluginError(f"there is no hook {name!r}; {did_you_mean(name, specs)}")
    if not hooks:
        raise PluginError("it has no hook; mark one with @hookimpl")


def check_signature(name: str, function: Callable[..., Any], spec: inspect.Signature, marks: pluggy.HookimplOpts) -> None:
    """Check that a hook asks for nothing that its specification does not hand out."""
    takes = ", ".join(spec.parameters)
    if marks["wrapper"] or marks["hookwrapper"]:
        raise PluginError(f"its hook {name} is a wrapper; fairart calls plain functions only")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in spec.parameters:
            raise PluginError(f"its hook {name} asks for {str(parameter)!r}; it may ask for {takes}")
        if parameter.default is not parameter.empty or parameter.kind is parameter.KEYWORD_ONLY:
            raise PluginError(f"its hook {name}: {parameter.name} must be a plain parameter without a default")


def check_entry(kind: str, name: object, factory: object) -> None:
    """Check what a hook passes to ``register``."""
    if not isinstance(name, str) or not name or ":" in name or name.split() != [name]:
        raise PluginError(f"register() expects a name without spaces and colons, got {name!r} for a {kind}")
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        fine = all(part.isidentifier() for part in f"{module}.{attribute}".split("."))
    else:
        fine = callable(factory)
    if not fine:
        raise PluginError(f"{kind} {name!r}: register() expects a class, a function or 'module:attribute', got {factory!r}")
