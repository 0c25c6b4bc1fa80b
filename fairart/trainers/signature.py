"""The signature of a preset: its own options beside the shared ones, with its own defaults."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["PRESET", "preset_signature"]

PRESET: Any = type("Preset", (), {"__repr__": lambda self: "<preset>"})()
"""Default of a part that a preset fills in."""


def preset_signature(cls: type, base: type, preset: Callable[[str], Any]) -> inspect.Signature | None:
    """What ``help()``, command-line flags and documentation read of a subclass.

    Args:
        cls: the subclass.
        base: whose constructor takes the shared options.
        preset: gives the subclass's default of a part.

    Returns:
        The classifier, the subclass's own options, the shared ones; None where a constructor does not hand the shared ones on.
    """
    own = _own_options(cls, base)
    if own is None:
        return None
    shared = {name: p for name, p in _parameters(base).items() if name not in ("self", "unknown")}
    first = shared.pop("classifier")
    filled = (p.replace(default=preset(p.name)) if p.default is PRESET else p for p in shared.values())
    return inspect.Signature([first, *own.values(), *(p for p in filled if p.name not in own)])


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    constructor = vars(cls)["__init__"]
    # Resolved where they were written: a subclass's module need not know the names that the shared annotations use.
    try:
        types = typing.get_type_hints(constructor, include_extras=True)
    except (NameError, TypeError):  # a name that only a type checker sees; the option keeps its name and default
        types = {}
    found = inspect.signature(constructor).parameters
    return {name: p.replace(annotation=types.get(name, p.annotation)) for name, p in found.items()}


def _own_options(cls: type, base: type) -> dict[str, inspect.Parameter] | None:
    own: dict[str, inspect.Parameter] = {}
    for each in cls.__mro__[: cls.__mro__.index(base)]:
        if "__init__" not in vars(each):
            continue
        parameters = _parameters(each)
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return None
        for name, p in parameters.items():
            if p.kind is inspect.Parameter.KEYWORD_ONLY:
                own.setdefault(name, p)
    return own
