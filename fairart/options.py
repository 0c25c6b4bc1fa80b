"""Options: declared once in a signature, and from there validated, documented and turned into flags.

An option is a keyword parameter whose annotation carries an :class:`Option`::

    def __init__(self, *, decay: Annotated[float, Option("share of the old average kept", low=0, high=1)] = 0.85): ...

Type and default come from the signature, the rest from the :class:`Option`. A third party that annotates nothing still
gets unknown names refused, since those follow from the signature alone.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union

from fairart.errors import OptionError, nearest

__all__ = ["REQUIRED", "Declared", "Option", "check_value", "declared_options", "parse_number", "validate_options"]

REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """What an option means and which values it takes.

    Args:
        description: one line, without a full stop; units and ranges belong here.
        low: smallest value accepted, or None.
        high: largest value accepted, or None.
        low_open: refuse ``low`` itself.
        choices: the values accepted, or None for any.
        source: paper or equation that it comes from.
    """

    description: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    choices: tuple[Any, ...] | None = None
    source: str = ""


@dataclass(frozen=True)
class Declared:
    """One option as its owner declared it: name, type, default and :class:`Option`."""

    name: str
    type: Any
    default: Any
    option: Option

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED


def parse_number(text: str) -> int | float:
    """Read a number as people of the field write it: ``0.03``, ``8/255``, ``1e-3``.

    Raises:
        OptionError: when the text is no number or divides by zero.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        value: float = float(numerator) / float(denominator) if slash else float(numerator)
        return int(text) if not slash and text.strip().lstrip("+-").isdigit() else value
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(f"expected a number such as 0.03 or 8/255, got {text!r}") from error


def _split(annotation: Any) -> tuple[Any, Option]:
    if typing.get_origin(annotation) is Annotated:
        base, *extras = typing.get_args(annotation)
        for extra in extras:
            if isinstance(extra, Option):
                return base, extra
        return base, Option("")
    return annotation, Option("")


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    function = factory.__init__ if isinstance(factory, type) else factory
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        # A plugin may annotate with names that only a type checker sees: names and defaults still hold then.
        return {}


def declared_options(factory: Callable[..., Any], *, keyword_only: bool = False) -> dict[str, Declared]:
    """Read the options of a class or function from its signature.

    Args:
        factory: a class or function; positional-only parameters, ``*args`` and ``**kwargs`` are no options.
        keyword_only: leave out parameters that can be given by position.

    Returns:
        name -> :class:`Declared`, in the order of the signature.
    """
    hints = _hints(factory)
    found: dict[str, Declared] = {}
    kinds = {inspect.Parameter.KEYWORD_ONLY} | ({inspect.Parameter.POSITIONAL_OR_KEYWORD} if not keyword_only else set())
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind not in kinds:
            continue
        base, option = _split(hints.get(name, parameter.annotation))
        found[name] = Declared(name, base, parameter.default, option)
    return found


def _matches(value: Any, kind: Any) -> bool:
    if kind is Any or kind is inspect.Parameter.empty or isinstance(kind, str | typing.TypeVar):
        return True
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return any(_matches(value, member) for member in typing.get_args(kind))
    if origin is Annotated:
        return _matches(value, typing.get_args(kind)[0])
    if origin is typing.Literal:
        return value in typing.get_args(kind)
    if kind is type(None):
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    checked = origin or kind
    return isinstance(value, checked) if isinstance(checked, type) else True


def _type_name(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(member) for member in typing.get_args(kind))
    if kind is type(None):
        return "None"
    return getattr(kind, "__name__", str(kind))


def check_value(value: Any, declared: Declared, *, where: str = "option") -> Any:
    """Check one value against its declaration and give it back.

    Args:
        value: what the user gave; text is read as a number where the declaration asks for a number.
        declared: the declaration.
        where: what the message calls the owner, such as ``"epsilon_scheduler 'ccm'"``.

    Raises:
        OptionError: wrong type, outside the range, or none of the choices.
    """
    option, label = declared.option, f"{where}: {declared.name}"
    if isinstance(value, str) and not _matches(value, declared.type) and (_matches(0.5, declared.type)):
        value = parse_number(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and value != value:
        raise OptionError(f"{label} must be a number, got NaN")
    if not _matches(value, declared.type):
        raise OptionError(
            f"{label} expects {_type_name(declared.type)}, got {value!r} ({type(value).__name__})"
        )
    if option.choices is not None and value not in option.choices:
        raise OptionError(f"{label} expects one of {', '.join(map(str, option.choices))}, got {value!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(value, option, label)
    return value


def _check_range(value: float, option: Option, label: str) -> None:
    below = option.low is not None and (value <= option.low if option.low_open else value < option.low)
    above = option.high is not None and value > option.high
    if below or above:
        parts = []
        if option.low is not None:
            parts.append(f"{'>' if option.low_open else '>='} {option.low:g}")
        if option.high is not None:
            parts.append(f"<= {option.high:g}")
        raise OptionError(f"{label} must be {' and '.join(parts)}, got {value!r}")


def validate_options(
    factory: Callable[..., Any], options: Mapping[str, Any], *, where: str, keyword_only: bool = False
) -> dict[str, Any]:
    """Check options against what a class or function declares.

    Args:
        factory: the class or function that takes them.
        options: name -> value.
        where: what the message calls the owner.
        keyword_only: only keyword-only parameters are options, and none of them must be there yet.

    Returns:
        The options, numbers given as text converted.

    Raises:
        OptionError: an unknown name (with the nearest ones), a bad value, or one that is required and missing.
    """
    declared = declared_options(factory, keyword_only=keyword_only)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(factory).parameters.values())
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if name not in declared:
            if takes_any:
                checked[name] = value
                continue
            raise OptionError(f"{where} has no option {name!r}; {nearest(name, declared)}")
        checked[name] = check_value(value, declared[name], where=where)
    missing = [name for name, spec in declared.items() if spec.required and name not in checked]
    if missing and not keyword_only:
        raise OptionError(f"{where} needs {', '.join(missing)}")
    return checked
