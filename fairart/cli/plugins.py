"""``fairart plugins``: registered parts, their plugin and their options; ``new`` writes a new plugin."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any

from fairart.cli.docstrings import describe
from fairart.cli.output import print_json, print_table
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins import PluginManager, Registration, get_plugin_manager
from fairart.plugins.hookspecs import FUNCTION_KINDS, HOOK_OF_KIND
from fairart.plugins.options import Declared, declared_options
from fairart.plugins.scaffold import plugin_names, write_plugin
from fairart.runs.recipes import RECIPES, recipe_of

__all__ = ["parser", "run"]

NEW, RECIPE = "new", "recipe"
"""In the place of a kind; no kind has these names."""

FILLED_IN = {
    "model": {"input_shape", "nb_classes"},
    "trainer": {"classifier"},
    "attack": {"generator"},
    "corruption": {"generator"},
}
"""Parameters that fairart passes itself; they are not options of the user."""


def parser() -> Parser:
    """The flags of ``fairart plugins``."""
    made = Parser(
        prog="fairart plugins",
        usage="fairart plugins [KIND [NAME]] [flags]\n       fairart plugins recipe [METHOD] [flags]\n"
        "       fairart plugins new NAME --kind KIND [--output FOLDER] [flags]",
        description="List every extension point: kind, name, plugin and description. With KIND and NAME, "
        "show its options. 'recipe' shows what the publication of a method trains with. 'new' writes an "
        "installable package with a small working part of that kind, its tests and its README.",
        epilog=f"kinds: {', '.join(HOOK_OF_KIND)}",
    )
    made.add_argument("positional_kind", metavar="KIND", nargs="?", help="only this kind")
    made.add_argument("name", metavar="NAME", nargs="?", help="show the options of this one; after new: name of the part")
    made.add_argument("--kind", help="only this kind; after new: the kind to write")
    made.add_argument("--output", metavar="FOLDER", help="after new: folder for fairart-NAME (default: here)")
    made.add_argument("--plugins-dir", metavar="FOLDER", help="folder of plugins (*.py) to load")
    add_common_flags(made, quiet=False)
    return made


def run(arguments: argparse.Namespace) -> int:
    """List what is registered, or the options of one thing, or write a new plugin.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: flags that do not go together.
        UnknownNameError: no such kind or name.
        OptionError: a name that a new plugin cannot have.
        FileExistsError: its folder is there already.
    """
    if arguments.positional_kind == NEW:
        return _new(arguments)
    if arguments.positional_kind == RECIPE:
        return _recipes(arguments.name, as_json=arguments.json)
    if arguments.output is not None:
        raise UsageError("--output goes with 'fairart plugins new NAME --kind KIND'")
    if arguments.kind is not None and arguments.positional_kind is not None:
        raise UsageError(f"KIND is given twice: {arguments.positional_kind!r} and --kind {arguments.kind!r}")
    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    kind = arguments.kind or arguments.positional_kind
    if kind is not None:
        kind = kind.replace("-", "_")
        manager.registered(kind)
    if arguments.name is not None:
        return _show_one(manager.find(kind, arguments.name)[0], as_json=arguments.json)
    return _list(manager, [kind] if kind else list(HOOK_OF_KIND), as_json=arguments.json)


def _new(arguments: argparse.Namespace) -> int:
    if arguments.name is None:
        raise UsageError("no name given: write 'fairart plugins new NAME --kind KIND'")
    if arguments.kind is None:
        raise UsageError(f"no kind given: add --kind KIND; {did_you_mean('', HOOK_OF_KIND)}")
    names = plugin_names(arguments.name, arguments.kind)
    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    taken = manager.registered(names.kind).get(names.name)
    if taken is not None:
        raise OptionError(f"{names.kind} {names.name!r} is registered already by plugin {taken.plugin!r}; choose another name")
    if names.name in manager.plugins:
        raise OptionError(f"there is a plugin named {names.name!r} already; choose another name")
    folder = write_plugin(names, arguments.output or ".")
    files = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
    if arguments.json:
        print_json({**vars(names), "folder": str(folder), "files": files})
        return 0
    print(f"{folder} has the {names.kind} {names.name!r}:")
    for file in files:
        print(f"  {file}")
    print(f"\nNext: cd {shlex.quote(str(folder))} && pip install -e '.[test]' && pytest; README.md says how to use it.")
    return 0


def _recipes(method: str | None, *, as_json: bool) -> int:
    chosen = {method: recipe_of(method)} if method is not None else RECIPES
    if as_json:
        print_json({name: asdict(recipe) for name, recipe in chosen.items()})
        return 0
    if method is None:
        rows = [[name, ", ".join(recipe.datasets), recipe.source, recipe.missing] for name, recipe in RECIPES.items()]
        print_table(["method", "data sets", "source", "not to be read"], rows)
        print("\n'fairart plugins recipe METHOD' shows one; 'fairart train METHOD --recipe paper' trains by it.")
        return 0
    recipe = chosen[method]
    print_table(["setting", "value"], [[name, _text(value)] for name, value in recipe.settings.items()], title=recipe.source)
    for dataset, settings in recipe.by_dataset.items():
        print(f"On {dataset}: {', '.join(f'{name}={_text(value)}' for name, value in settings.items())}.")
    print(f"\nData sets: {', '.join(recipe.datasets)}.")
    if recipe.warm_start:
        print(f"It fine-tunes: first train {recipe.warm_start}.")
    if recipe.missing:
        print(f"Not to be read: {recipe.missing}.")
    return 0


def _list(manager: PluginManager, kinds: list[str], *, as_json: bool) -> int:
    entries = [entry for kind in kinds for entry in manager.registered(kind).values()]
    if as_json:
        print_json(
            {
                "plugins": [
                    {"kind": entry.kind, "name": entry.name, "plugin": entry.plugin, "description": describe(entry)}
                    for entry in entries
                ],
                "kinds": {kind: HOOK_OF_KIND[kind] for kind in kinds},
                "broken": [{"plugin": broken.name, "reason": broken.reason} for broken in manager.broken],
            }
        )
        return 0
    rows = [[entry.kind, entry.name, entry.plugin, describe(entry)] for entry in entries]
    filled = {entry.kind for entry in entries}
    rows += [[kind, "-", "-", f"nothing yet; register with {HOOK_OF_KIND[kind]}"] for kind in kinds if kind not in filled]
    print_table(["kind", "name", "plugin", "description"], rows)
    if manager.broken:
        print()
        print_table(["broken plugin", "reason"], [[broken.name, " ".join(broken.reason.split())] for broken in manager.broken])
    return 0


def _options_of(entry: Registration) -> list[Declared]:
    declared = declared_options(entry.load(), keyword_only=entry.kind in FUNCTION_KINDS)
    return [spec for spec in declared.values() if spec.name not in FILLED_IN.get(entry.kind, ())]


def _show_one(entry: Registration, *, as_json: bool) -> int:
    options = [_option(spec) for spec in _options_of(entry)]
    summary = entry.summary()
    if as_json:
        print_json({"kind": entry.kind, "name": entry.name, "plugin": entry.plugin, "description": summary, "options": options})
        return 0
    print(f"{entry.kind} {entry.name}, supplied by {entry.plugin}")
    print(f"{summary}\n")
    if not options:
        print("It has no options.")
        return 0
    columns = ["name", "type", "default", "range", "description", "source"]
    shown = [name for name in columns if name == "name" or any(option[name] for option in options)]
    print_table(["option", *shown[1:]], [[_text(option[name]) for name in shown] for option in options])
    return 0


def _option(spec: Declared) -> dict[str, Any]:
    default = spec.default
    plain = default is None or isinstance(default, bool | int | float | str)
    return {
        "name": spec.name,
        "type": _type(spec.type),
        "default": "required" if spec.required else default if plain and default is not None else _text(default),
        "required": spec.required,
        "range": _range(spec),
        "description": spec.option.description,
        "source": spec.option.source,
    }


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _type(kind: Any) -> str:
    from fairart.plugins.options import _type_name

    return "any" if kind is Any else _type_name(kind)


def _range(spec: Declared) -> str:
    option = spec.option
    if option.choices is not None:
        return ", ".join(map(str, option.choices))
    parts = []
    if option.low is not None:
        parts.append(f"{'>' if option.low_open else '>='} {option.low:.4g}")
    if option.high is not None:
        parts.append(f"{'<' if option.high_open else '<='} {option.high:.4g}")
    return ", ".join(parts)
