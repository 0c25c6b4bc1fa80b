"""No hook without documentation and a test, no option of a built-in without a description, no stale name in the page."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairart import hookimpl
from fairart.plugins import PluginManager, hookspecs
from fairart.plugins.hookspecs import FUNCTION_KINDS, HOOK_OF_KIND
from fairart.plugins.options import check_value, declared_options

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("fairart_")}
NOTIFICATIONS = sorted(set(HOOKS) - set(HOOK_OF_KIND.values()))
BUILT_INS = [
    (kind, name) for manager in [PluginManager(entry_points=False)] for kind in HOOK_OF_KIND for name in manager.registered(kind)
]
# What the caller hands in, whatever the thing: no choice of the user's.
HANDED_IN = {"trainer": {"classifier"}, "attack": {"generator"}, "corruption": {"generator"}}


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(entry_points=False, strict=True)


def plugin_with(hook: str, function: Any) -> types.ModuleType:
    module = types.ModuleType("stranger")
    setattr(module, hook, hookimpl(function))
    return module


class Thing:
    """A thing of whatever kind."""

    def __init__(self, *, size: int = 2) -> None:
        self.size = size


def test_every_hook_registers_a_kind_or_notifies() -> None:
    assert set(HOOK_OF_KIND.values()) <= set(HOOKS)
    assert NOTIFICATIONS == ["fairart_epoch_end", "fairart_fit_end", "fairart_fit_start"]
    assert set(HOOK_OF_KIND) >= FUNCTION_KINDS
    assert all(list(inspect.signature(HOOKS[hook]).parameters) == ["register"] for hook in HOOK_OF_KIND.values())


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_says_what_it_is_for(hook: str) -> None:
    docstring = inspect.getdoc(HOOKS[hook]) or ""
    start = "Register " if hook in HOOK_OF_KIND.values() else "Told "
    assert docstring.startswith(start)
    assert docstring.endswith(".")


@pytest.mark.parametrize(("kind", "hook"), HOOK_OF_KIND.items())
def test_registration_hook_stands_in_the_page_with_its_kind(kind: str, hook: str) -> None:
    assert re.search(rf"^\| `{hook}` \| `{kind}` \| .+ \| .+ \|$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("hook", NOTIFICATIONS)
def test_notification_stands_in_the_page_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    assert re.search(rf"^\| `{hook}\({arguments}\)` \| .+ \|$", PAGE, flags=re.MULTILINE)


def test_page_names_no_hook_that_is_not_there() -> None:
    assert set(re.findall(r"\bfairart_\w+", PAGE)) == set(HOOKS)


@pytest.mark.parametrize(("kind", "hook"), HOOK_OF_KIND.items())
def test_a_thing_of_every_kind_registers_through_its_hook(manager: PluginManager, kind: str, hook: str) -> None:
    manager.register(plugin_with(hook, lambda register: register("mine", Thing, description="my own")))
    entry = manager.registered(kind)["mine"]
    assert (entry.kind, entry.plugin, entry.summary()) == (kind, "stranger", "my own")
    made = manager.create(kind, "mine", size=5)
    made = made() if kind in FUNCTION_KINDS else made
    assert isinstance(made, Thing)
    assert made.size == 5
    assert [other for other in HOOK_OF_KIND if "mine" in manager.registered(other)] == [kind]


@pytest.mark.parametrize("hook", NOTIFICATIONS)
def test_every_notification_arrives_with_its_arguments(manager: PluginManager, hook: str) -> None:
    names = list(inspect.signature(HOOKS[hook]).parameters)
    told: list[Any] = []
    listeners = {
        ("trainer",): lambda trainer: told.append((trainer,)),
        ("trainer", "record"): lambda trainer, record: told.append((trainer, record)),
    }
    manager.register(plugin_with(hook, listeners[tuple(names)]))
    manager.notify(hook, **{name: f"the {name}" for name in names})
    assert told == [tuple(f"the {name}" for name in names)]


@pytest.mark.parametrize(("kind", "name"), BUILT_INS)
def test_built_in_declares_its_options(manager: PluginManager, kind: str, name: str) -> None:
    entry = manager.registered(kind)[name]
    assert entry.summary().strip(), "it has neither description nor docstring"
    for option in declared_options(entry.load(), keyword_only=kind in FUNCTION_KINDS).values():
        if option.name in HANDED_IN.get(kind, ()):
            continue
        description = option.option.description
        assert description, f"option {option.name!r} has no Option with a description"
        assert not description.endswith("."), f"option {option.name!r}: a description has no full stop"
        assert "\n" not in description, f"option {option.name!r}: a description is one line"
        if not option.required:
            checked = check_value(option.default, option, where=f"{kind} {name!r}")
            assert checked == option.default, f"option {option.name!r}: the default breaks its own declaration"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(fairart(?:\.\w+)+)`", PAGE))))
def test_what_the_page_names_is_there(path: str) -> None:
    module, _, attribute = path.rpartition(".")
    if module == "fairart":
        importlib.import_module(path)
    else:
        assert hasattr(importlib.import_module(module), attribute)


def test_the_pages_example_works_as_a_file_in_a_folder(manager: PluginManager, tmp_path: Path) -> None:
    from fairart.statistics import ConfusionMatrix, EpochStatistics

    example = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "class Inverse" in block)
    (tmp_path / "inverse_accuracy.py").write_text(example, encoding="utf-8")
    assert manager.load_folder(tmp_path) == ["inverse_accuracy"]
    sampler = manager.create("target_sampler", "inverse-accuracy", floor="1/10")
    assert manager.origin(sampler) == "target_sampler 'inverse-accuracy' of plugin 'inverse_accuracy'"
    sampler.start(3)
    counts = [[5, 5, 0], [0, 10, 0], [0, 0, 0]]  # half right, all right, no samples
    sampler.update(EpochStatistics(epoch=0, robust=ConfusionMatrix(counts)))
    np.testing.assert_allclose(sampler.probabilities, [[0, 0.5, 0.5], [6 / 7, 0, 1 / 7], [6 / 7, 1 / 7, 0]])
