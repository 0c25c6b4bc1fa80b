"""Plugins and registered things that tests of the plugin system share."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from fairart import hookimpl, plugins
from fairart.plugins import PluginManager
from fairart.plugins.options import Option


class Thing:
    """A thing of no kind in particular.

    More words.
    """

    def __init__(self, *, size: Annotated[int, Option("a size", low=1)] = 2) -> None:
        self.size = size


def metric(confusion: Any, *, share: Annotated[float, Option("a share", low=0, high=1)] = 0.1) -> float:
    """Add the share."""
    return float(confusion) + share


def load_file(*, path: Annotated[str, Option("a file")], **options: Any) -> tuple[str, dict[str, Any]]:
    """Load a file."""
    return path, options


def plugin(**hooks: Callable[..., Any]) -> Any:
    """A plugin whose hooks are plain functions."""
    made = types.ModuleType("a_plugin")
    vars(made).update({name: hookimpl(function) for name, function in hooks.items()})
    return made


def supplier(*names: str, hook: str = "fairart_register_models", target: Any = Thing) -> Any:
    def register_all(register: Any) -> None:
        for name in names:
            register(name, target)

    return plugin(**{hook: register_all})


def left_out(manager: PluginManager, thing: object, match: str, name: str = "stranger") -> None:
    """The plugin is warned about, noted, and leaves nothing behind."""
    kinds = plugins.HOOK_OF_KIND
    before = {kind: manager.registered(kind) for kind in kinds}, manager.plugins
    with pytest.warns(UserWarning, match=f"plugin '{name}' is left out: .*{match}"):
        manager.register(thing, name)
    assert manager.broken[-1].name == name
    assert ({kind: manager.registered(kind) for kind in kinds}, manager.plugins) == before


class FakePoint:
    """An entry point that gives an object or raises."""

    def __init__(self, name: str, answer: Any) -> None:
        self.name, self.value, self.answer = name, f"{name}.hooks", answer

    def load(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer
