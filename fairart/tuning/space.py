"""A space of settings: fields of a run with the values to choose from. Imports nothing heavy, and no optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins.options import declared_options, parse_number
from fairart.runs.config import OFF, OPTION_KINDS, PART_KINDS, RunConfig, check_values
from fairart.runs.flat import flattened

__all__ = ["Choice", "Chooser", "Range", "Space", "read_space"]

RANGE_KEYS = ("low", "high", "log", "step")
EXAMPLE = "lr: {low: 0.01, high: 0.3, log: true}"
FORM = f"a list of values, or a range such as {EXAMPLE}"
FIXED = (
    "seed",
    "device",
    "devices",
    "plugins_dir",
    "data_root",
    "dataset",
    "per_class",
    "validation_share",
    "logger",
    "eps",
    "norm",
)
"""Fields that belong to the task: trials that differ in them cannot be compared, or are one trial."""


class Chooser(Protocol):
    """Picks values; an optimiser's trial, or a random draw."""

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        """One of some values."""

    def number(self, name: str, low: float, high: float, *, whole: bool, log: bool, step: float | None) -> float | int:
        """A number of a range, both ends included."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``.

    Args:
        low: smallest.
        high: largest, > ``low``.
        log: whether equal ratios are equally likely; ``low`` is > 0 then.
        step: distance of the values from ``low`` on; None for any number (any whole one where both ends are whole).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return all(isinstance(end, int) for end in (self.low, self.high)) and isinstance(self.step, int | None)

    def pick(self, name: str, chooser: Chooser) -> float | int:
        """One of the numbers."""
        return chooser.number(name, self.low, self.high, whole=self.whole, log=self.log, step=self.step)

    def ends(self) -> tuple[float, float]:
        """Values to check before any is drawn."""
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Some values, each as likely.

    Args:
        values: two or more.
    """

    values: tuple[Any, ...]

    def pick(self, name: str, chooser: Chooser) -> Any:
        """One of the values."""
        return chooser.choose(name, self.values)

    def ends(self) -> tuple[Any, ...]:
        """Values to check before any is drawn."""
        return self.values


@dataclass(frozen=True, kw_only=True)
class Space:
    """Fields of a run -> what they are chosen from.

    Args:
        fields: names as in a config file; options of parts as ``KIND.OPTION``.
    """

    fields: Mapping[str, Range | Choice]

    def pick(self, base: Mapping[str, Any], chooser: Chooser) -> dict[str, Any]:
        """Settings of a trial: parts first, then the options that the parts chosen have.

        Args:
            base: settings of all trials; options as ``KIND.OPTION``.
            chooser: picks.

        Returns:
            field -> value of those that the trial has.
        """
        picked: dict[str, Any] = {}
        for name in sorted(self.fields, key=lambda name: "." in name):
            if applies(name, {**base, **picked}):
                picked[name] = self.fields[name].pick(name, chooser)
        return picked

    def to_dict(self) -> dict[str, Any]:
        """As in a file."""
        return {
            name: list(one.values)
            if isinstance(one, Choice)
            else {
                "low": one.low,
                "high": one.high,
                **({"log": True} if one.log else {}),
                **({} if one.step is None else {"step": one.step}),
            }
            for name, one in self.fields.items()
        }


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a run has an option: the part that it belongs to is in the run and declares it.

    Args:
        name: a field, or ``KIND.OPTION``.
        values: settings of the run so far.
    """
    kind, dot, option = name.partition(".")
    return not dot or option in options_of(kind, values)


def options_of(kind: str, values: Mapping[str, Any]) -> set[str]:
    """Names of the options that the part of a kind has in a run; none where the run has no such part."""
    from fairart.plugins import get_plugin_manager

    manager = get_plugin_manager()
    chosen = values.get(kind)
    if chosen is None and kind in PART_KINDS and values.get("trainer") is not None:
        method: Any = manager.find("trainer", values["trainer"])[0].load()
        chosen = method._preset(kind)
    if chosen is None or chosen == OFF:
        return set()
    if not isinstance(chosen, str):
        return set(declared_options(type(chosen)))
    return set(declared_options(manager.find(kind, chosen)[0].load()))


def read_space(given: Any, *, where: str) -> Space:
    """Check a space; values are checked against the declaration of their fields.

    Args:
        given: field -> list of values, or ``{low, high, log, step}``.
        where: its name in error messages.

    Raises:
        OptionError: no mapping, an unknown field (similar ones are suggested), a range upside down, a value that the field does
            not take.
    """
    if not isinstance(given, Mapping) or not given:
        raise OptionError(f"{where} expects 'field: {FORM}' lines, got {given!r}")
    fields: dict[str, Range | Choice] = {}
    for key, one in flattened(given, is_value=_is_range).items():
        name = key.replace("-", "_")
        label = f"{where}: {name}"
        _check_field(name, where)
        made = _range(one, label) if isinstance(one, Mapping) else _choice(one, label)
        checked = tuple(_checked(name, value, label) for value in made.ends())
        fields[name] = Choice(values=checked) if isinstance(made, Choice) else made
    return Space(fields=fields)


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping) and ("low" in value or "high" in value)


def _check_field(name: str, where: str) -> None:
    kind, dot, _ = name.partition(".")
    if dot and kind not in OPTION_KINDS:
        raise OptionError(f"{where} has no field {name!r}: {did_you_mean(kind, OPTION_KINDS)}")
    if not dot and name not in RunConfig.declared():
        raise OptionError(f"{where} has no field {name!r}; {did_you_mean(name, RunConfig.declared())}")
    if (kind if dot and kind == "dataset" else name) in FIXED:
        raise OptionError(f"{where}: {name} is part of the task, not of the search: trials that differ in it cannot be compared")


def _checked(name: str, value: Any, label: str) -> Any:
    kind, dot, _ = name.partition(".")
    if dot:
        return value
    checked = check_values({name: value}, where=label)[name]
    if kind in ("trainer", "model", *PART_KINDS) and isinstance(checked, str) and checked != OFF:
        from fairart.plugins import get_plugin_manager

        get_plugin_manager().find(kind, checked)
    return checked


def _range(given: Mapping[str, Any], label: str) -> Range:
    for key in given:
        if key not in RANGE_KEYS:
            raise OptionError(f"{label}: a range has no {key!r}; {did_you_mean(str(key), RANGE_KEYS)}")
    numbers = {key: _number(given[key], f"{label}: {key}") for key in ("low", "high", "step") if given.get(key) is not None}
    if not {"low", "high"} <= numbers.keys():
        raise OptionError(f"{label}: a range needs low and high, such as {EXAMPLE}, got {dict(given)!r}")
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise OptionError(f"{label}: log expects true or false, got {log!r}")
    made = Range(low=numbers["low"], high=numbers["high"], log=log, step=numbers.get("step"))
    if not made.low < made.high:
        raise OptionError(f"{label}: low must be below high, got low {made.low:g} and high {made.high:g}")
    if made.log and made.low <= 0:
        raise OptionError(f"{label}: a range on a log scale begins above 0, got low {made.low:g}")
    if made.step is not None and (made.step <= 0 or made.log):
        raise OptionError(f"{label}: step must be above 0 and goes with a plain scale, got step {made.step:g}, log {made.log}")
    return made


def _number(value: Any, label: str) -> float | int:
    try:
        number = parse_number(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise OptionError(f"{label} expects a number, got {value!r}")
    return number


def _choice(given: Any, label: str) -> Choice:
    if not isinstance(given, list) or len(given) < 2:
        raise OptionError(f"{label} expects {FORM}; a single value goes under 'base', got {given!r}")
    for index, value in enumerate(given):
        if value in given[:index]:
            raise OptionError(f"{label} lists {value!r} twice")
    return Choice(values=tuple(given))
