"""Filling in the templates of a kind, and writing the folder all at once or not at all."""

from __future__ import annotations

import ast
import os
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

from fairart.plugins.scaffold.names import PluginNames

__all__ = ["rendered", "write_plugin"]

ENDING = ".in"
"""Templates are no Python files: tools that walk the package leave them alone."""


def rendered(names: PluginNames) -> dict[str, str]:
    """The files of a plugin, path inside its folder -> text.

    Args:
        names: what everything is called.
    """
    values = {**vars(names), "hook": names.hook}
    part = _filled(f"{names.kind}/part.py", values)
    summary = (ast.get_docstring(ast.parse(part)) or "").partition("\n")[0].removesuffix(".")
    values["summary"] = summary
    values["use"] = _filled(f"{names.kind}/use.md", values).strip()
    return {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", values),
        f"{names.package}/__init__.py": _filled("__init__.py", values),
        f"{names.package}/{names.kind}.py": part,
        f"tests/test_{names.package.removeprefix('fairart_')}.py": _filled(f"{names.kind}/test.py", values),
    }


def _filled(template: str, values: dict[str, str]) -> str:
    source = files("fairart.plugins.scaffold").joinpath("templates", *f"{template}{ENDING}".split("/"))
    return Template(source.read_text(encoding="utf-8")).substitute(values)


def write_plugin(names: PluginNames, parent: str | Path = ".") -> Path:
    """Write a plugin's folder; when anything goes wrong nothing is left of it.

    Args:
        names: what everything is called.
        parent: folder that the new one is put into; made where it is not there.

    Returns:
        The folder, ``parent / names.distribution``.

    Raises:
        FileExistsError: there is something of that name already, or a file where a folder is needed.
    """
    outer = Path(parent).expanduser()
    folder, temporary = outer / names.distribution, outer / f".{names.distribution}.{os.getpid()}.tmp"
    for place in (outer, *outer.parents):
        if place.exists() and not place.is_dir():
            raise FileExistsError(f"{str(place)!r} is a file: expected a folder for the plugin")
    if os.path.lexists(folder):
        raise FileExistsError(f"{str(folder)!r} is there already: choose another name or another --output, or remove it")
    texts = rendered(names)
    made = [place for place in (outer, *outer.parents) if not place.exists()]
    try:
        for path, text in texts.items():
            _write(temporary / path, text)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for place in made:
            _remove_if_empty(place)
        raise
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
