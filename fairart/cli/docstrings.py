"""Descriptions of registered things without importing them, so that listing names does not load torch."""

from __future__ import annotations

import ast
import importlib.util
import sys
from functools import cache
from pathlib import Path

from fairart.plugins import Registration

__all__ = ["describe"]


def describe(entry: Registration) -> str:
    """One line about a registered thing.

    Args:
        entry: its registration. Its own description is used first, then the docstring in the source file; only if neither
            exists is it imported.

    Returns:
        The line, or the reason why it cannot be loaded.
    """
    if entry.description:
        return entry.description
    if isinstance(entry.target, str):
        module, _, attribute = entry.target.partition(":")
        if module not in sys.modules:
            detail = _from_source(module, attribute)
            if detail is not None:
                return detail
    try:
        return entry.summary()
    except Exception as error:  # third-party code may raise any exception, and the others are still to be listed
        return f"cannot be loaded: {' '.join(str(error).split())}"


def _from_source(module: str, attribute: str) -> str | None:
    path = _file(module)
    if path is None:
        return None
    for node in _definitions(path):
        if node.name == attribute:
            docstring = ast.get_docstring(node)
            return None if docstring is None else docstring.partition("\n")[0]
    return None


@cache
def _definitions(path: Path) -> tuple[ast.ClassDef | ast.FunctionDef, ...]:
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))


@cache
def _file(module: str) -> Path | None:
    """Where a module's source is, without importing the packages that it is in, as ``find_spec`` of its full name would."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    folder = Path(spec.origin).parent.joinpath(*rest)
    return next((file for file in (folder.with_suffix(".py"), folder / "__init__.py") if file.is_file()), None)
