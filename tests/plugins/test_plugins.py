"""The plugin system, as a stranger, a user and a plugin author meet it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_things import Thing, left_out, plugin, supplier

import fairart
from fairart import hookimpl
from fairart.errors import PluginError, UnknownNameError
from fairart.plugins import BrokenPlugin, PluginManager


class TestRegister:
    def test_module(self, manager: PluginManager) -> None:
        module = types.ModuleType("my_module")
        module.fairart_register_models = supplier("mine").fairart_register_models  # type: ignore[attr-defined]
        manager.register(module)
        assert manager.plugins == ["fairart", "my_module"]
        assert manager.registered("model")["mine"].plugin == "my_module"

    def test_object_with_methods(self, manager: PluginManager) -> None:
        class Methods:
            @hookimpl
            def fairart_register_models(self, register: Any) -> None:
                register("mine", Thing, description="my own")

            @staticmethod
            @hookimpl
            def fairart_register_datasets(register: Any) -> None:
                register("data", Thing)

        manager.register(Methods())
        assert manager.plugins == ["fairart", "Methods"]
        assert manager.registered("model")["mine"].summary() == "my own"
        assert manager.registered("dataset")["data"].summary() == "A thing of no kind in particular."

    def test_hook_under_another_name(self, manager: PluginManager) -> None:
        @hookimpl(specname="fairart_register_models")
        def models(register: Any) -> None:
            register("mine", Thing)

        manager.register(types.SimpleNamespace(models=models), "stranger")
        assert "mine" in manager.registered("model")

    def test_hook_of_a_later_fairart_may_be_optional(self, strict: PluginManager) -> None:
        @hookimpl(optionalhook=True)
        def fairart_register_wonders(register: Any) -> None:
            raise AssertionError("never called")

        strict.register(types.SimpleNamespace(fairart_register_wonders=fairart_register_wonders), "stranger")
        assert strict.plugins == ["fairart", "stranger"]

    def test_names_listed_are_a_copy(self, manager: PluginManager) -> None:
        manager.registered("model").clear()
        assert manager.registered("model")

    def test_built_in_plugin_comes_first_and_registers_every_listed_name(self, manager: PluginManager) -> None:
        assert manager.plugins == ["fairart"]
        assert {"uniform", "cfps"} <= set(manager.registered("target_sampler"))
        assert all(entry.plugin == "fairart" for entry in manager.registered("trainer").values())


class TestRulesOfRegistration:
    def test_name_taken_within_the_plugin(self, manager: PluginManager) -> None:
        left_out(manager, supplier("mine", "mine"), "model 'mine' is taken by plugin 'stranger'")

    def test_name_taken_by_a_built_in(self, manager: PluginManager) -> None:
        left_out(manager, supplier("fresh", "small-cnn"), "model 'small-cnn' is taken by plugin 'fairart'")

    def test_name_taken_by_another_plugin(self, manager: PluginManager) -> None:
        manager.register(supplier("mine"), "first")
        left_out(manager, supplier("mine"), "model 'mine' is taken by plugin 'first'")

    def test_one_name_may_stand_for_two_kinds(self, strict: PluginManager) -> None:
        strict.register(supplier("mine"), "first")
        strict.register(supplier("mine", hook="fairart_register_datasets"), "second")
        assert strict.registered("dataset")["mine"].plugin == "second"

    def test_a_hook_that_raises_leaves_nothing_behind(self, manager: PluginManager) -> None:
        def models(register: Any) -> None:
            register("mine", Thing)

        def trainers(register: Any) -> None:
            register("other", Thing)
            raise KeyError("gone")

        broken = plugin(fairart_register_models=models, fairart_register_trainers=trainers)
        left_out(manager, broken, "its hook fairart_register_trainers raised KeyError: 'gone'")
        manager.register(supplier("mine"), "stranger")
        assert manager.create("model", "mine").size == 2

    def test_misspelt_hook(self, manager: PluginManager) -> None:
        thing = supplier("mine", hook="fairart_register_model")
        left_out(manager, thing, r"there is no hook 'fairart_register_model'; did you mean 'fairart_register_models'")

    def test_forgotten_mark(self, manager: PluginManager) -> None:
        thing = types.SimpleNamespace(fairart_register_models=lambda register: None)
        left_out(manager, thing, "fairart_register_models is not marked with @hookimpl")

    def test_a_module_that_imports_the_specifications_is_not_blamed(self, strict: PluginManager) -> None:
        thing = supplier("mine")
        thing.fairart_register_trainers = fairart.plugins.hookspecs.fairart_register_trainers
        strict.register(thing, "stranger")
        assert "mine" in strict.registered("model")

    def test_no_hook_at_all(self, manager: PluginManager) -> None:
        left_out(manager, types.SimpleNamespace(other=1), "it has no hook; mark one with @hookimpl")

    def test_wrong_parameter(self, manager: PluginManager) -> None:
        thing = plugin(fairart_epoch_end=lambda trainer, epoch: None)
        left_out(manager, thing, "its hook fairart_epoch_end asks for 'epoch'; it may ask for trainer, record")

    def test_star_parameter(self, manager: PluginManager) -> None:
        thing = plugin(fairart_epoch_end=lambda *args: None)
        left_out(manager, thing, r"its hook fairart_epoch_end asks for '\*args'; it may ask for trainer, record")

    def test_parameter_with_a_default_would_never_be_given(self, manager: PluginManager) -> None:
        thing = plugin(fairart_epoch_end=lambda trainer, record=None: None)
        left_out(manager, thing, "its hook fairart_epoch_end: record must be a plain parameter without a default")

    def test_fewer_parameters_are_fine(self, strict: PluginManager) -> None:
        told = []
        strict.register(plugin(fairart_epoch_end=lambda record: told.append(record)), "stranger")
        strict.notify("fairart_epoch_end", trainer=1, record=2)
        assert told == [2]

    def test_wrappers_are_refused(self, manager: PluginManager) -> None:
        @hookimpl(wrapper=True)
        def fairart_fit_end(trainer: Any) -> Any:
            yield

        thing = types.SimpleNamespace(fairart_fit_end=fairart_fit_end)
        left_out(manager, thing, "its hook fairart_fit_end is a wrapper; fairart calls plain functions only")

    def test_class_instead_of_instance(self, manager: PluginManager) -> None:
        left_out(manager, Thing, "expected a module or an object, got the class Thing: hand in an instance")

    @pytest.mark.parametrize("name", ["", " mine", "mine ", "my thing", "npz:mine", None, 5])
    def test_bad_name(self, manager: PluginManager, name: Any) -> None:
        left_out(manager, supplier(name), r"register\(\) expects a name without spaces and colons, got .* for a model")

    @pytest.mark.parametrize("target", ["package.module", "a:b:c", ":Thing", "module:", "my module:Thing", 5, None])
    def test_bad_factory(self, manager: PluginManager, target: Any) -> None:
        match = r"model 'mine': register\(\) expects a class, a function or 'module:attribute', got "
        left_out(manager, supplier("mine", target=target), match)

    def test_wrong_call_of_register(self, manager: PluginManager) -> None:
        thing = plugin(fairart_register_models=lambda register: register("mine"))
        match = r"its hook fairart_register_models raised TypeError: register\(\) missing 1 required .* 'factory'"
        left_out(manager, thing, match)

    def test_plugin_name_taken(self, manager: PluginManager) -> None:
        left_out(manager, supplier("mine"), "a plugin named 'fairart' is loaded already", name="fairart")

    def test_one_object_under_two_names(self, manager: PluginManager) -> None:
        thing = supplier("mine")
        manager.register(thing, "first")
        left_out(manager, thing, "it is loaded already as 'first'")
        assert manager.plugins == ["fairart", "first"]


class TestStrictAndTrace:
    def test_strict_raises_and_rolls_back(self, strict: PluginManager) -> None:
        with pytest.raises(PluginError, match="plugin 'stranger' is broken: model 'mine' is taken by plugin 'stranger'"):
            strict.register(supplier("mine", "mine"), "stranger")
        assert strict.broken == []
        assert strict.plugins == ["fairart"]
        assert "mine" not in strict.registered("model")

    @pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False), (None, False)])
    def test_environment_variables(self, monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool) -> None:
        for variable in ("FAIRART_STRICT_PLUGINS", "FAIRART_TRACE_PLUGINS"):
            monkeypatch.delenv(variable, raising=False)
            if value is not None:
                monkeypatch.setenv(variable, value)
        manager = PluginManager(entry_points=False)
        assert (manager.strict, manager.trace) == (expected, expected)

    def test_strict_by_environment_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAIRART_STRICT_PLUGINS", "1")
        with pytest.raises(PluginError, match="plugin 'stranger' is broken: it has no hook"):
            PluginManager(entry_points=False).register(object(), "stranger")

    def test_trace_prints_every_call_to_standard_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FAIRART_TRACE_PLUGINS", "1")
        manager = PluginManager(entry_points=False)
        manager.register(plugin(fairart_fit_start=lambda trainer: None), "stranger")
        capsys.readouterr()
        manager.notify("fairart_fit_start", trainer=1)
        manager.register(supplier("mine"), "other")
        assert capsys.readouterr() == (
            "",
            "fairart: fairart_fit_start <- stranger\nfairart: fairart_register_models <- other\n",
        )

    def test_nothing_is_printed_otherwise(self, manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
        manager.register(supplier("mine"), "other")
        assert capsys.readouterr() == ("", "")


class TestEntryPoints:
    def test_all_are_loaded_in_the_order_of_their_names(self, install: Callable[..., None]) -> None:
        install(second=supplier("two"), first=supplier("one"))
        manager = PluginManager(strict=True)
        assert manager.plugins == ["fairart", "first", "second"]
        assert {"one", "two"} <= set(manager.registered("model"))

    @pytest.mark.parametrize(
        "error", [ImportError("no module named numpi"), SyntaxError("bad"), RuntimeError("boom"), SystemExit("bye")]
    )
    def test_a_broken_one_leaves_the_others_working(self, install: Callable[..., None], error: BaseException) -> None:
        install(a=supplier("one"), broken=error, c=supplier("three"))
        reason = f"importing broken.hooks raised {type(error).__name__}: {error}"
        with pytest.warns(UserWarning, match=f"^plugin 'broken' is left out: {reason}$"):
            manager = PluginManager(strict=False)
        assert manager.plugins == ["fairart", "a", "c"]
        assert manager.broken == [BrokenPlugin("broken", reason)]
        assert manager.create("model", "three").size == 2
        with pytest.raises(UnknownNameError, match=r"no model 'thre'; did you mean 'three'.*'broken' was left out \(importing"):
            manager.create("model", "thre")

    def test_a_hook_that_raises_leaves_the_others_working(self, install: Callable[..., None]) -> None:
        install(a=supplier("one"), b=supplier("small-cnn"), c=supplier("three"))
        with pytest.warns(UserWarning, match="plugin 'b' is left out: model 'small-cnn' is taken"):
            manager = PluginManager(strict=False)
        assert manager.plugins == ["fairart", "a", "c"]

    def test_strict_raises(self, install: Callable[..., None]) -> None:
        install(broken=ImportError("no numpi"))
        with pytest.raises(PluginError, match=r"plugin 'broken' is broken: importing broken\.hooks raised ImportError: no numpi"):
            PluginManager(strict=True)

    def test_one_that_calls_itself_fairart_stops_nobody(self, install: Callable[..., None]) -> None:
        install(fairart=supplier("mine"))
        with pytest.warns(UserWarning, match="plugin 'fairart' is left out: a plugin named 'fairart' is loaded already"):
            manager = PluginManager(strict=False)
        assert manager.plugins == ["fairart"]
        assert "small-cnn" in manager.registered("model")

    def test_control_c_is_not_swallowed(self, install: Callable[..., None]) -> None:
        install(broken=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            PluginManager(strict=False)


SOURCE = """
from fairart import hookimpl

class Made:
    "Made in a folder."

@hookimpl
def fairart_register_models(register):
    register("{name}", Made)
"""


def write(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)


class TestFolder:
    def test_files_and_packages_in_the_order_of_their_names(self, strict: PluginManager, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        write(tmp_path, c=SOURCE.format(name="from-c"), a=SOURCE.format(name="from-a"))
        write(tmp_path / "b", hooks=SOURCE.format(name="from-b"))
        (tmp_path / "b" / "__init__.py").write_text("from .hooks import fairart_register_models\n")
        assert strict.load_folder(tmp_path) == ["a", "b", "c"]
        assert [strict.registered("model")[f"from-{name}"].plugin for name in "abc"] == ["a", "b", "c"]
        assert type(strict.create("model", "from-b")).__name__ == "Made"

    def test_what_is_no_plugin_is_passed_over(self, strict: PluginManager, tmp_path: Path) -> None:
        fail = "raise AssertionError('not to be imported')"
        for folder in ("_private", ".hidden", "tests", "empty"):
            (tmp_path / folder).mkdir()
        for folder in ("_private", ".hidden", "tests"):
            write(tmp_path / folder, __init__=fail)
        for name in ("_helper.py", ".hidden.py", "test_it.py", "conftest.py", "setup.py", "notes.txt"):
            (tmp_path / name).write_text(fail)
        write(tmp_path, setup_of_mine=SOURCE.format(name="mine"))
        assert strict.load_folder(tmp_path) == ["setup_of_mine"]

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_module_anywhere", r"importing b\.py raised ModuleNotFoundError: No module named"),
            ("def f(:", r"importing b\.py raised SyntaxError"),
            ("raise SystemExit(3)", r"importing b\.py raised SystemExit: 3"),
            ("x = 1", r"it has no hook; mark one with @hookimpl"),
            (SOURCE.format(name="small-cnn"), r"model 'small-cnn' is taken by plugin 'fairart'"),
        ],
    )
    def test_a_broken_file_leaves_the_others_working(
        self, manager: PluginManager, tmp_path: Path, source: str, reason: str
    ) -> None:
        write(tmp_path, a=SOURCE.format(name="from-a"), b=source, c=SOURCE.format(name="from-c"))
        with pytest.warns(UserWarning, match=f"^plugin 'b' is left out: {reason}"):
            assert manager.load_folder(tmp_path) == ["a", "c"]
        assert [plugin.name for plugin in manager.broken] == ["b"]
        assert ("fairart_plugin_b" in sys.modules) == ("importing" not in reason)

    def test_strict_raises(self, strict: PluginManager, tmp_path: Path) -> None:
        write(tmp_path, b="import no_such_module_anywhere")
        for _ in range(2):
            with pytest.raises(PluginError, match=r"plugin 'b' is broken: importing b\.py raised ModuleNotFoundError"):
                strict.load_folder(tmp_path)

    def test_twice_does_nothing_and_a_new_file_is_added(self, strict: PluginManager, tmp_path: Path) -> None:
        write(tmp_path, a=SOURCE.format(name="from-a"))
        assert strict.load_folder(tmp_path) == ["a"]
        assert strict.load_folder(str(tmp_path / "." / "")) == []
        write(tmp_path, b=SOURCE.format(name="from-b"))
        assert strict.load_folder(tmp_path) == ["b"]

    def test_a_broken_file_is_reported_once(self, manager: PluginManager, tmp_path: Path) -> None:
        write(tmp_path, b="x = 1")
        with pytest.warns(UserWarning, match="plugin 'b' is left out"):
            manager.load_folder(tmp_path)
        assert manager.load_folder(tmp_path) == []
        assert len(manager.broken) == 1

    def test_same_file_name_in_another_folder(self, manager: PluginManager, tmp_path: Path) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            write(tmp_path / folder, a=SOURCE.format(name=f"from-{folder}"))
        manager.load_folder(tmp_path / "one")
        module = sys.modules["fairart_plugin_a"]
        with pytest.warns(UserWarning, match="plugin 'a' is left out: a plugin named 'a' is loaded already"):
            assert manager.load_folder(tmp_path / "two") == []
        assert sys.modules["fairart_plugin_a"] is module

    def test_missing_folder(self, manager: PluginManager, tmp_path: Path) -> None:
        (tmp_path / "file.py").write_text("")
        for name in ("nowhere", "file.py"):
            with pytest.raises(FileNotFoundError, match=f"no such folder of plugins: '.*{name}'"):
                manager.load_folder(tmp_path / name)
