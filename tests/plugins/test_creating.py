"""Things made by name, text targets, notifications and origins."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_things import Thing, left_out, load_file, metric, plugin, supplier

import fairart
from fairart import hookimpl, plugins
from fairart.errors import OptionError, PluginError, UnknownNameError
from fairart.plugins import PluginManager


def write(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)


class TestCreate:
    def test_class_kind_gives_an_instance(self, strict: PluginManager) -> None:
        strict.register(supplier("mine"), "stranger")
        assert isinstance(strict.create("model", "mine"), Thing)
        assert strict.create("model", "mine", size="3").size == 3

    @pytest.mark.parametrize("kind", sorted(plugins.FUNCTION_KINDS))
    def test_function_kind_gives_the_function_with_its_options(self, strict: PluginManager, kind: str) -> None:
        strict.register(supplier("mine", hook=plugins.HOOK_OF_KIND[kind], target=metric), "stranger")
        made = strict.create(kind, "mine", share="1/4")
        assert isinstance(made, functools.partial)
        assert made.func is metric
        assert made(1) == 1.25
        assert strict.create(kind, "mine")(1) == 1.1
        with pytest.raises(OptionError, match=rf"^{kind} 'mine': share must be >= 0 and <= 1, got 2$"):
            strict.create(kind, "mine", share=2)
        with pytest.raises(OptionError, match=rf"^{kind} 'mine' has no option 'confusion'; known: share$"):
            strict.create(kind, "mine", confusion=2)

    def test_unknown_kind(self, manager: PluginManager) -> None:
        with pytest.raises(UnknownNameError, match=r"^there is no kind 'target_samplers'; did you mean 'target_sampler'\?$"):
            manager.create("target_samplers", "cfps")

    def test_unknown_name(self, manager: PluginManager) -> None:
        with pytest.raises(UnknownNameError, match=r"^there is no model 'smal-cnn'; did you mean 'small-cnn'\?$"):
            manager.create("model", "smal-cnn")
        with pytest.raises(UnknownNameError, match=r"^there is no model 'q'; known: .*small-cnn"):
            manager.create("model", "q")

    @pytest.mark.parametrize("name", [None, 5, ["small-cnn"], ""])
    def test_a_name_that_is_no_name(self, manager: PluginManager, name: Any) -> None:
        with pytest.raises(UnknownNameError, match="there is no model "):
            manager.create("model", name)

    def test_unknown_name_tells_of_broken_plugins(self, manager: PluginManager) -> None:
        left_out(manager, supplier("mine", "mine"), "is taken")
        match = r"there is no model 'mine'; known: .*; plugin 'stranger' was left out \(model 'mine' is taken by"
        with pytest.raises(UnknownNameError, match=match):
            manager.create("model", "mine")

    def test_unknown_option(self, strict: PluginManager) -> None:
        strict.register(supplier("mine"), "stranger")
        with pytest.raises(OptionError, match=r"^model 'mine' has no option 'sise'; did you mean 'size'\?$"):
            strict.create("model", "mine", sise=3)

    def test_options_may_be_called_kind_and_name(self, strict: PluginManager) -> None:
        strict.register(supplier("mine", target=dict), "stranger")
        assert strict.create("model", "mine", kind=1, name=2) == {"kind": 1, "name": 2}

    def test_a_factory_that_raises_names_the_plugin(self, strict: PluginManager) -> None:
        def build() -> None:
            raise RuntimeError("boom")

        strict.register(supplier("mine", target=build), "stranger")
        with pytest.raises(PluginError, match=r"^plugin 'stranger': making model 'mine' raised RuntimeError: boom$"):
            strict.create("model", "mine")

    def test_a_factory_that_refuses_options_raises_an_option_error(self, strict: PluginManager) -> None:
        def build(*, low: int = 0, high: int = 1) -> None:
            raise OptionError("low must be below high")

        strict.register(supplier("mine", target=build), "stranger")
        with pytest.raises(OptionError, match=r"^plugin 'stranger': making model 'mine' raised OptionError: low must be below"):
            strict.create("model", "mine", low=2)

    def test_the_process_wide_functions_ask_one_manager(self, manager: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
        manager.register(supplier("mine"), "stranger")
        monkeypatch.setattr(plugins.manager, "_manager", manager)
        made = fairart.create("model", "mine", size=7)
        assert made.size == 7
        assert fairart.registered("model") == manager.registered("model")
        assert plugins.origin(made) == "model 'mine' of plugin 'stranger'"
        assert plugins.get_plugin_manager() is manager

    def test_the_process_wide_manager_is_made_once(self, monkeypatch: pytest.MonkeyPatch, install: Callable[..., None]) -> None:
        install()
        monkeypatch.setattr(plugins.manager, "_manager", None)
        assert plugins.get_plugin_manager() is plugins.get_plugin_manager()


class TestNameWithPath:
    @pytest.fixture
    def files(self, strict: PluginManager) -> PluginManager:
        strict.register(supplier("mine", hook="fairart_register_datasets", target=load_file), "stranger")
        return strict

    @pytest.mark.parametrize("path", ["some/file.npz", "C:\\data\\file.npz", " a b "])
    def test_path_becomes_an_option(self, files: PluginManager, path: str) -> None:
        entry, carried = files.find("dataset", f"mine:{path}")
        assert (entry.name, carried) == ("mine", {"path": path})
        assert files.create("dataset", f"mine:{path}", size=3) == (path, {"size": 3})

    def test_path_among_the_options(self, files: PluginManager) -> None:
        assert files.create("dataset", "mine", path="a.npz") == ("a.npz", {})
        assert files.find("dataset", "mine")[1] == {}

    def test_no_path_after_the_colon(self, files: PluginManager) -> None:
        with pytest.raises(UnknownNameError, match=r"^dataset 'mine:': a path must follow the colon$"):
            files.create("dataset", "mine:")

    def test_path_given_twice(self, files: PluginManager) -> None:
        match = r"^dataset 'mine:a\.npz' has its path in the name, and path='b\.npz' besides$"
        with pytest.raises(OptionError, match=match):
            files.create("dataset", "mine:a.npz", path="b.npz")

    def test_unknown_prefix(self, files: PluginManager) -> None:
        with pytest.raises(UnknownNameError, match=r"^there is no dataset 'nine:a\.npz'; did you mean 'mine'"):
            files.create("dataset", "nine:a.npz")

    def test_a_thing_without_a_path_says_so(self, files: PluginManager) -> None:
        files.register(supplier("metric", hook="fairart_register_fairness_metrics", target=metric), "other")
        files.register(supplier("plain"), "third")
        for kind, name in (("fairness_metric", "metric:a.npz"), ("model", "plain:a.npz")):
            with pytest.raises(OptionError, match=rf"^{kind} '{name}' has no option 'path'; known: "):
                files.create(kind, name)


class TestTextTargets:
    @pytest.fixture
    def lazy(self, strict: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
        write(tmp_path, lazy_good="class Outer:\n    'Outer.'\n    class Inner: 'Inner.'\nvalue = 5\n")
        write(tmp_path, lazy_bad="import no_such_module_anywhere", lazy_boom="raise RuntimeError('boom')")
        write(tmp_path, lazy_attribute="''.no_such_attribute")
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("lazy_good", "lazy_bad", "lazy_boom", "lazy_attribute"):
            monkeypatch.delitem(sys.modules, name, raising=False)

        def make(target: str) -> Any:
            strict.register(supplier("mine", target=target), "stranger")
            return strict.create("model", "mine")

        make.manager = strict  # type: ignore[attr-defined]
        return make

    def test_imported_only_when_asked_for(self, lazy: Any) -> None:
        lazy.manager.register(supplier("other", target="lazy_good:Outer"), "one")
        assert list(lazy.manager.registered("model"))[-1] == "other"
        assert lazy.manager.origin(Thing()) == f"{Thing.__module__}.Thing"
        assert "lazy_good" not in sys.modules
        assert lazy.manager.registered("model")["other"].summary() == "Outer."
        assert "lazy_good" in sys.modules

    def test_nested_attribute(self, lazy: Any) -> None:
        made = lazy("lazy_good:Outer.Inner")
        assert type(made).__qualname__ == "Outer.Inner"
        assert lazy.manager.origin(made) == "model 'mine' of plugin 'stranger'"

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            (
                "lazy_nowhere:Thing",
                "cannot import 'lazy_nowhere:Thing': ModuleNotFoundError: No module named 'lazy_nowhere'",
            ),
            ("lazy_bad:Thing", "cannot import 'lazy_bad:Thing': ModuleNotFoundError: No module named 'no_such_module_any"),
            ("lazy_boom:Thing", "cannot import 'lazy_boom:Thing': RuntimeError: boom"),
            ("lazy_attribute:Thing", "cannot import 'lazy_attribute:Thing': AttributeError: 'str' object has no"),
            ("lazy_good:Outter", "module 'lazy_good' has no 'Outter'"),
            ("lazy_good:Outer.Iner", "module 'lazy_good' has no 'Outer.Iner'"),
            ("lazy_good:value", "'lazy_good:value' is neither class nor function, it is 5"),
        ],
    )
    def test_a_wrong_one_names_the_plugin(self, lazy: Any, target: str, reason: str) -> None:
        with pytest.raises(PluginError, match=f"^plugin 'stranger': {reason}"):
            lazy(target)

    def test_a_missing_dependency_of_a_built_in_stays_an_import_error(self) -> None:
        entry = plugins.Registration("model", "mine", "no_such_module_anywhere:Thing", "fairart")
        with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
            entry.load()


def listener(answer: Callable[[str], Any], name: str) -> Any:
    return plugin(fairart_fit_end=lambda trainer: answer(f"{name} {trainer}"))


class TestNotify:
    def test_everybody_is_told_the_latest_plugin_first(self, strict: PluginManager) -> None:
        told: list[str] = []
        strict.register(listener(told.append, "one"), "one")
        strict.register(listener(told.append, "two"), "two")
        strict.notify("fairart_fit_end", trainer="t")
        assert told == ["two t", "one t"]

    def test_who_asks_to_be_first_or_last_is(self, strict: PluginManager) -> None:
        told: list[str] = []

        class First:
            @hookimpl(tryfirst=True)
            def fairart_fit_end(self, trainer: Any) -> None:
                told.append("first")

        class Last:
            @hookimpl(trylast=True)
            def fairart_fit_end(self, trainer: Any) -> None:
                told.append("last")

        for thing in (First(), listener(told.append, "plain"), Last()):
            strict.register(thing)
        strict.notify("fairart_fit_end", trainer="t")
        assert told == ["first", "plain t", "last"]

    def test_nobody_listens(self, strict: PluginManager) -> None:
        assert strict.notify("fairart_fit_end", trainer="t") is None

    def test_a_listener_that_raises_is_named(self, manager: PluginManager) -> None:
        def fail(text: str) -> None:
            raise ZeroDivisionError(text)

        manager.register(listener(fail, "one"), "stranger")
        match = "^plugin 'stranger': its hook fairart_fit_end raised ZeroDivisionError: one t$"
        with pytest.raises(PluginError, match=match) as caught:
            manager.notify("fairart_fit_end", trainer="t")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


class TestOrigin:
    def test_instance_class_and_subclass(self, strict: PluginManager) -> None:
        strict.register(supplier("mine"), "stranger")
        expected = "model 'mine' of plugin 'stranger'"
        assert strict.origin(strict.create("model", "mine")) == expected
        assert strict.origin(Thing) == expected

        class Child(Thing):
            pass

        assert strict.origin(Child()).endswith("Child")

    def test_function_bound_or_not(self, strict: PluginManager) -> None:
        strict.register(supplier("share", hook="fairart_register_fairness_metrics", target=metric), "stranger")
        expected = "fairness_metric 'share' of plugin 'stranger'"
        assert strict.origin(metric) == expected
        assert strict.origin(strict.create("fairness_metric", "share")) == expected
        assert strict.origin(load_file) == f"{load_file.__module__}.load_file"

    def test_text_target_that_a_package_hands_on(self, strict: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
        package = types.ModuleType("handing_on")
        package.Thing = Thing  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "handing_on", package)
        strict.register(supplier("mine", target="handing_on:Thing"), "stranger")
        assert strict.origin(Thing()) == "model 'mine' of plugin 'stranger'"

    def test_unknown(self, strict: PluginManager) -> None:
        assert strict.origin(5) == "builtins.int"


LIGHT = """
import importlib.metadata, sys
importlib.metadata.entry_points = lambda **_: ()  # what fairart itself imports is asked here, not what is installed
import fairart
assert "fair-tat" in fairart.registered("trainer")
print(sorted({"torch", "art", "torchvision", "numpy", "sklearn", "matplotlib"} & set(sys.modules)))
"""


def test_importing_fairart_and_listing_names_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
