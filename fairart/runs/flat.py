"""Settings in one level: options of parts as ``KIND.OPTION``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from fairart.runs.config import OPTION_KINDS, RunConfig

__all__ = ["flat", "flattened", "unflat"]


def flat(config: RunConfig) -> dict[str, Any]:
    """Every field of a run, options as ``KIND.OPTION``."""
    plain = {entry.name: getattr(config, entry.name) for entry in fields(config) if entry.name != "options"}
    return {**plain, **{f"{kind}.{name}": value for kind, given in config.options.items() for name, value in given.items()}}


def unflat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round: what ``RunConfig`` takes."""
    nested: dict[str, Any] = {name: value for name, value in values.items() if "." not in name}
    options: dict[str, Any] = {}
    for name, value in values.items():
        kind, dot, option = name.partition(".")
        if dot:
            options.setdefault(kind, {})[option] = value
    return {**nested, "options": options}


def flattened(given: Mapping[str, Any], *, is_value: Callable[[Any], bool] = lambda value: False) -> dict[str, Any]:
    """A user's mapping in one level.

    ``options: {objective: {beta: 6}}``, ``objective: {beta: 6}`` and ``objective.beta: 6`` are alike.

    Args:
        given: what a file holds.
        is_value: whether a mapping is a value, not a level.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        nested = isinstance(value, Mapping) and not is_value(value)
        if key == "options" and nested:
            found.update(flattened(value, is_value=is_value))
        elif str(key) in OPTION_KINDS and nested:
            found.update({f"{key}.{name}": one for name, one in value.items()})
        else:
            found[str(key)] = value
    return found
