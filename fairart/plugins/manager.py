"""The plugin manager: built-in and third-party plugins register through the same hooks, and :func:`create` makes things by name.

Plugins are found through the entry-point group ``fairart`` and in folders given by hand. Each is loaded alone: a broken
one is named in a warning and left out, all others work. ``FAIRART_STRICT_PLUGINS=1`` raises instead,
``FAIRART_TRACE_PLUGINS=1`` prints every hook call to standard error.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import operator
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, PluginError, UnknownNameError
from fairart.plugins import hookspecs
from fairart.plugins.hookspecs import FUNCTION_KINDS, HOOK_OF_KIND, PROJECT
from fairart.plugins.options import validate_options
from fairart.plugins.rules import check_entry, check_hooks

__all__ = ["BUILTIN", "BrokenPlugin", "PluginManager", "Registration", "create", "get_plugin_manager", "origin", "registered"]

BUILTIN = "fairart"


@dataclass(frozen=True)
class Registration:
    """One registered name: what it makes, and which plugin supplies it."""

    kind: str
    name: str
    target: Callable[..., Any] | str
    plugin: str
    description: str = ""

    def load(self) -> Callable[..., Any]:
        """Give the class or function, importing it if it was registered as text.

        Raises:
            PluginError: when that fails; the message names the plugin. An ImportError of a built-in comes through.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            imported = importlib.import_module(module)
        except Exception as error:  # any exception that a third-party module raises on import
            if self.plugin == BUILTIN:
                raise
            raise PluginError(f"plugin {self.plugin!r}: cannot import {self.target!r}: {_told(error)}") from error
        try:
            loaded: Callable[..., Any] = operator.attrgetter(attribute)(imported)
        except AttributeError as error:
            raise PluginError(f"plugin {self.plugin!r}: module {module!r} has no {attribute!r}") from error
        if not callable(loaded):
            raise PluginError(f"plugin {self.plugin!r}: {self.target!r} is neither class nor function, it is {loaded!r}")
        return loaded

    def makes(self, factory: object) -> bool:
        """Whether this is what was registered; a text target that nobody has imported yet makes nothing."""
        if not isinstance(self.target, str):
            return self.target is factory
        module, _, attribute = self.target.partition(":")
        try:
            return operator.attrgetter(attribute)(sys.modules[module]) is factory
        except (KeyError, AttributeError):
            return False

    def summary(self) -> str:
        """One line of description: the registered one, else the first line of the docstring."""
        if self.description:
            return self.description
        return (inspect.getdoc(self.load()) or "").partition("\n")[0]


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that was left out, and why."""

    name: str
    reason: str


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class PluginManager:
    """Loads plugins and keeps what they registered.

    Args:
        entry_points: load the installed plugins of the entry-point group ``fairart``.
        strict: raise at the first broken plugin; None asks ``FAIRART_STRICT_PLUGINS``.
        trace: print hook calls to standard error; None asks ``FAIRART_TRACE_PLUGINS``.
    """

    def __init__(self, *, entry_points: bool = True, strict: bool | None = None, trace: bool | None = None) -> None:
        self.strict = _flag("FAIRART_STRICT_PLUGINS") if strict is None else strict
        self.trace = _flag("FAIRART_TRACE_PLUGINS") if trace is None else trace
        self.broken: list[BrokenPlugin] = []
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._registry: dict[str, dict[str, Registration]] = {kind: {} for kind in HOOK_OF_KIND}
        self._files: set[Path] = set()
        self._register(importlib.import_module("fairart.plugins.builtins"), BUILTIN)
        if entry_points:
            self._load_entry_points()

    @property
    def plugins(self) -> list[str]:
        """Names of the plugins that work, the built-in one first."""
        return [name for name, _ in self._pluggy.list_name_plugin()]

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add one plugin: a module or an object with hook implementations.

        Args:
            plugin: module or object.
            name: what messages call it; its own name by default.

        Raises:
            PluginError: it breaks a rule and strict mode is on (else it is noted in ``broken`` and warned about).
        """
        label = str(name or getattr(plugin, "__name__", type(plugin).__name__))
        try:
            self._register(plugin, label)
        except Exception as error:  # third-party code may raise any exception; the plugin is named and left out
            self._give_up(label, str(error) if isinstance(error, PluginError) else _told(error), error)

    def _give_up(self, label: str, reason: str, cause: BaseException) -> None:
        if self.strict:
            raise PluginError(f"plugin {label!r} is broken: {reason}") from cause
        self.broken.append(BrokenPlugin(label, reason))
        warnings.warn(f"plugin {label!r} is left out: {reason}", UserWarning, stacklevel=3)

    def _register(self, plugin: object, label: str) -> None:
        self._check_label(label)
        if self._pluggy.is_registered(plugin):
            raise PluginError(f"it is loaded already as {self._pluggy.get_name(plugin)!r}")
        if isinstance(plugin, type):
            raise PluginError(f"expected a module or an object, got the class {plugin.__qualname__}: hand in an instance")
        check_hooks(plugin, self._pluggy)
        try:
            self._pluggy.register(plugin, name=label)
            fresh = [entry for kind in HOOK_OF_KIND for entry in self._collect(kind, label)]
        except BaseException:
            # pluggy leaves a plugin behind whose registration failed half-way.
            if self._pluggy.get_plugin(label) is not None:
                self._pluggy.unregister(name=label)
            raise
        for entry in fresh:
            self._registry[entry.kind][entry.name] = entry

    def _check_label(self, label: str) -> None:
        if self._pluggy.has_plugin(label):
            raise PluginError(f"a plugin named {label!r} is loaded already")

    def _implementations(self, hook: str, plugin: str | None = None) -> list[pluggy.HookImpl]:
        # As pluggy calls them: what asks to be first, then the plugin that came last.
        found = reversed(getattr(self._pluggy.hook, hook).get_hookimpls())
        return [impl for impl in found if plugin is None or impl.plugin_name == plugin]

    def _call(self, impl: pluggy.HookImpl, hook: str, **arguments: Any) -> None:
        if self.trace:
            print(f"fairart: {hook} <- {impl.plugin_name}", file=sys.stderr)
        impl.function(*(arguments[name] for name in impl.argnames))

    def _collect(self, kind: str, label: str) -> list[Registration]:
        fresh: dict[str, Registration] = {}

        def register(name: str, factory: Callable[..., Any] | str, *, description: str = "") -> None:
            check_entry(kind, name, factory)
            taken = fresh.get(name) or self._registry[kind].get(name)
            if taken:
                raise PluginError(f"{kind} {name!r} is taken by plugin {taken.plugin!r}")
            fresh[name] = Registration(kind, name, factory, label, description)

        register.__qualname__ = "register"
        hook = HOOK_OF_KIND[kind]
        for impl in self._implementations(hook, label):
            try:
                self._call(impl, hook, register=register)
            except PluginError:
                raise
            except Exception as error:
                raise PluginError(f"its hook {hook} raised {_told(error)}") from error
        return list(fresh.values())

    def _load_entry_points(self) -> None:
        for point in sorted(importlib.metadata.entry_points(group=PROJECT), key=operator.attrgetter("name", "value")):
            try:
                plugin = point.load()
            except (Exception, SystemExit) as error:  # any exception that a third-party module raises on import
                self._give_up(point.name, f"importing {point.value} raised {_told(error)}", error)
                continue
            self.register(plugin, point.name)

    def load_folder(self, folder: str | Path) -> list[str]:
        """Load every ``*.py`` file and every package of a folder as a plugin, in the order of their names.

        Left out are names that start with ``_`` or ``.``, and what belongs to tests or to packaging.

        Args:
            folder: path; a file that is loaded already is not loaded again.

        Returns:
            Names of the plugins loaded by this call.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise FileNotFoundError(f"no such folder of plugins: {str(folder)!r}")
        before = set(self.plugins)
        for file in sorted(set(_plugin_files(path)) - self._files):
            label = file.parent.name if file.name == "__init__.py" else file.stem
            self._load_file(file, label)
            self._files.add(file)
        return [name for name in self.plugins if name not in before]

    def _load_file(self, file: Path, label: str) -> None:
        try:
            self._check_label(label)
            module = _import_file(file, f"fairart_plugin_{label}")
        except PluginError as error:
            self._give_up(label, str(error), error)
        except (Exception, SystemExit) as error:  # any exception that a third-party file raises on import
            self._give_up(label, f"importing {file.name} raised {_told(error)}", error)
        else:
            self.register(module, label)

    def registered(self, kind: str) -> dict[str, Registration]:
        """Everything registered of one kind, by name.

        Raises:
            UnknownNameError: there is no such kind.
        """
        if kind not in self._registry:
            raise UnknownNameError(f"there is no kind {kind!r}; {did_you_mean(kind, self._registry)}")
        return dict(self._registry[kind])

    def find(self, kind: str, name: str) -> tuple[Registration, dict[str, str]]:
        """Look a name up; ``npz:some/file`` is the name ``npz`` with the option ``path``.

        Returns:
            The registration, and the options that the name itself carries.

        Raises:
            UnknownNameError: no such kind or name; the message has the nearest ones and the broken plugins.
        """
        entries = self.registered(kind)
        prefix, colon, path = name.partition(":") if isinstance(name, str) else ("", "", "")
        if prefix in entries and bool(colon) == bool(path):
            return entries[prefix], {"path": path} if colon else {}
        if prefix in entries:
            raise UnknownNameError(f"{kind} {name!r}: a path must follow the colon")
        broken = "".join(f"; plugin {plugin.name!r} was left out ({plugin.reason})" for plugin in self.broken)
        raise UnknownNameError(f"there is no {kind} {name!r}; {did_you_mean(prefix or name, entries)}{broken}")

    def create(self, kind: str, name: str, /, **options: Any) -> Any:
        """Make a registered thing; see :func:`create`."""
        entry, carried = self.find(kind, name)
        factory = entry.load()
        where = f"{kind} {name!r}"
        if carried.keys() & options.keys():
            raise OptionError(f"{where} has its path in the name, and path={options['path']!r} besides")
        if kind in FUNCTION_KINDS:
            checked = validate_options(factory, {**carried, **options}, where=where, keyword_only=True)
            return functools.partial(factory, **checked)
        checked = validate_options(factory, {**carried, **options}, where=where)
        try:
            return factory(**checked)
        except Exception as error:
            if entry.plugin == BUILTIN:
                raise
            # What the user gave stays the user's error; everything else is the plugin's.
            sort = OptionError if isinstance(error, OptionError) else PluginError
            raise sort(f"plugin {entry.plugin!r}: making {where} raised {_told(error)}") from error

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell every plugin that listens.

        Raises:
            PluginError: a listener raised; the message names it.
        """
        for impl in self._implementations(hook):
            try:
                self._call(impl, hook, **arguments)
            except Exception as error:
                raise PluginError(f"plugin {impl.plugin_name!r}: its hook {hook} raised {_told(error)}") from error

    def origin(self, thing: object) -> str:
        """Name a thing for a message: registered name and plugin where known, else its class."""
        entry, factory = self._entry(thing)
        if entry is not None:
            return f"{entry.kind} {entry.name!r} of plugin {entry.plugin!r}"
        return f"{factory.__module__}.{factory.__qualname__}"

    def name_of(self, thing: object) -> str:
        """Name a thing in a word: its registered name where known, else its class."""
        entry, factory = self._entry(thing)
        return str(factory.__qualname__) if entry is None else entry.name

    def _entry(self, thing: object) -> tuple[Registration | None, Any]:
        while isinstance(thing, functools.partial):
            thing = thing.func
        factory: Any = thing if isinstance(thing, type) or inspect.isroutine(thing) else type(thing)
        every = (entry for entries in self._registry.values() for entry in entries.values())
        return next((entry for entry in every if entry.makes(factory)), None), factory


def _plugin_files(folder: Path) -> Iterator[Path]:
    skipped = ("_", ".", "test_")
    for file in folder.glob("*.py"):
        if not file.name.startswith(skipped) and file.name not in ("conftest.py", "setup.py"):
            yield file
    for file in folder.glob("*/__init__.py"):
        if not file.parent.name.startswith(skipped) and file.parent.name != "tests":
            yield file


def _import_file(file: Path, name: str) -> Any:
    locations = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


_manager: PluginManager | None = None


def get_plugin_manager() -> PluginManager:
    """The process's plugin manager, made at first use."""
    global _manager
    if _manager is None:
        _manager = PluginManager()
    return _manager


def create(kind: str, name: str, /, **options: Any) -> Any:
    """Make a registered thing by name.

    Args:
        kind: such as ``"target_sampler"``; see :data:`fairart.plugins.hookspecs.HOOK_OF_KIND`.
        name: registered name, such as ``"cfps"``; ``"npz:some/file"`` is ``"npz"`` with the option ``path``.
        **options: its options, checked against what it declares.

    Returns:
        The instance; of a kind whose things are functions (fairness_metric, attack, corruption) the function with its
        options filled in.

    Raises:
        UnknownNameError: no such kind or name.
        OptionError: an unknown option or a bad value.
        PluginError: a third party's factory raised.
    """
    return get_plugin_manager().create(kind, name, **options)


def registered(kind: str) -> dict[str, Registration]:
    """Everything registered of one kind, by name."""
    return get_plugin_manager().registered(kind)


def origin(thing: object) -> str:
    """Name a thing for an error message: its registered name and plugin where known, else its class."""
    return get_plugin_manager().origin(thing)
