"""Options: declared once in a signature, and from there validated, documented and turned into flags.

An option is a keyword parameter whose annotation carries an :class:`Option`::

    def __init__(self, *, decay: Annotated[float, Option("share of the old average kept", low=0, high=1)] = 0.85): ...

Type and default come from the signature, the rest from the :class:`Option`. A third party that annotates nothing still
gets unknown names refused, since those follow from the signature alone.

NaN is never a value. An infinity is one only where the declaration names it: as a bound, a choice or the default.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import numbers
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError

__all__ = ["REQUIRED", "Declared", "Option", "check_value", "declared_options", "parse_number", "validate_options"]

REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """What an option means and which values it takes.

    Args:
        description: one line, without a full stop; units and ranges belong here.
        low: smallest value accepted, or None.
        high: largest value accepted, or None; ``math.inf`` accepts infinity itself.
        low_open: refuse ``low`` itself.
        high_open: refuse ``high`` itself.
        choices: the values accepted, or None for any.
        source: paper or equation that it comes from.
    """

    description: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
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
        OptionError: when the text is no number, NaN, or divides by zero.
    """
    try:
        return int(text)
    except ValueError:
        pass
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / float(denominator) if slash else float(numerator)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if math.isnan(value):
        raise OptionError(f"expected a number such as 0.03 or 8/255, got {text!r}")
    return value


class _Names(dict[str, Any]):
    """What an annotation may name; a name that only a type checker sees stands for any type."""

    def __missing__(self, name: str) -> Any:
        return Any


def _names_around(factory: Any) -> _Names:
    while isinstance(factory, functools.partial):
        factory = factory.func
    makers = ("__init__", "__new__") if isinstance(factory, type) else ("__call__",)
    for function in (factory, *(getattr(factory, maker, None) for maker in makers)):
        names = getattr(inspect.unwrap(function), "__globals__", None)
        if names is not None:
            return _Names({**vars(builtins), **names})
    return _Names(vars(builtins))


def _resolve(annotation: Any, names: _Names) -> Any:
    def stub() -> None: ...

    stub.__annotations__ = {"it": annotation}
    try:
        return typing.get_type_hints(stub, globalns={}, localns=names, include_extras=True)["it"]
    except Exception:  # any exception of a third-party annotation; the option keeps its name and default
        return annotation


def _split(annotation: Any) -> tuple[Any, Option]:
    if typing.get_origin(annotation) is not Annotated:
        return annotation, Option("")
    base, *extras = typing.get_args(annotation)
    return base, next((extra for extra in extras if isinstance(extra, Option)), Option(""))


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(factory).parameters)
    except (ValueError, TypeError):
        # Written in C without a signature: it takes what it takes.
        return {"options": inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)}


def declared_options(factory: Callable[..., Any], *, keyword_only: bool = False) -> dict[str, Declared]:
    """Read the options of a class or function from its signature.

    Args:
        factory: a class or function; positional-only parameters, ``*args`` and ``**kwargs`` are no options.
        keyword_only: leave out parameters that can be given by position.

    Returns:
        name -> :class:`Declared`, in the order of the signature.
    """
    try:
        known = _KNOWN.setdefault(factory, {})
    except TypeError:
        # It has no hash, or no weak references: it is read every time.
        return _read(factory, keyword_only)
    if keyword_only not in known:
        known[keyword_only] = _read(factory, keyword_only)
    return dict(known[keyword_only])


_KNOWN: weakref.WeakKeyDictionary[Any, dict[bool, dict[str, Declared]]] = weakref.WeakKeyDictionary()
"""Reading a signature takes a millisecond, and one evaluation asks for twenty."""


def _read(factory: Callable[..., Any], keyword_only: bool) -> dict[str, Declared]:
    names = _names_around(factory)
    found: dict[str, Declared] = {}
    kinds = {inspect.Parameter.KEYWORD_ONLY} | ({inspect.Parameter.POSITIONAL_OR_KEYWORD} if not keyword_only else set())
    for name, parameter in _parameters(factory).items():
        if parameter.kind not in kinds:
            continue
        base, option = _split(_resolve(parameter.annotation, names))
        found[name] = Declared(name, base, parameter.default, option)
    return found


def _untyped(kind: Any) -> bool:
    return kind is Any or kind is inspect.Parameter.empty or isinstance(kind, str | typing.TypeVar)


def _matches(value: Any, kind: Any) -> bool:
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if _untyped(kind):
        return True
    if origin in (Union, types.UnionType, Annotated):
        return any(_matches(value, member) for member in (members[:1] if origin is Annotated else members))
    if origin is typing.Literal:
        return any(type(value) is type(member) and value == member for member in members)
    if kind is float or kind is int:
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return _is_instance(value, type(None) if kind is None else origin or kind)


def _is_instance(value: Any, kind: Any) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        # A protocol, a NewType, a typed dictionary: nothing to be asked at run time.
        return True


def _asks_for_number(kind: Any) -> bool:
    members = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return any(isinstance(member, int) and not isinstance(member, bool) for member in members)
    if typing.get_origin(kind) in (Union, types.UnionType, Annotated):
        return any(_asks_for_number(member) for member in members)
    return kind is int or kind is float


def _convert(value: Any, kind: Any) -> Any:
    """Turn what files, flags and numpy give into what the declaration asks for, where the meaning is plain."""
    scalar = callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0
    if scalar and (isinstance(value, numbers.Real | str) or not _matches(value, kind)):
        value = value.item()
    if _matches(value, kind):
        return value
    if isinstance(value, str) and _asks_for_number(kind):
        try:
            return parse_number(value)
        except OptionError:
            return value
    conversions: tuple[tuple[type[Any], type[Any]], ...] = ((list, tuple), (str, Path), (Path, str))
    for given, wanted in conversions:
        if isinstance(value, given) and _matches(wanted(value), kind):
            return wanted(value)
    return value


def _type_name(kind: Any) -> str:
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(member) for member in members)
    if origin is Annotated:
        return _type_name(members[0])
    if origin is typing.Literal:
        return " or ".join(map(repr, members))
    return "None" if kind in (None, type(None)) else getattr(kind, "__name__", str(kind))


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def check_value(value: Any, declared: Declared, *, where: str = "option") -> Any:
    """Check one value against its declaration and give it back.

    Args:
        value: what the user gave. Text is read as a number or a path where the declaration asks for one, a path as text,
            a list as a tuple, a numpy scalar as the Python number.
        declared: the declaration.
        where: what the message calls the owner, such as ``"epsilon_scheduler 'ccm'"``.

    Raises:
        OptionError: wrong type, NaN, an infinity, outside the range, or none of the choices.
    """
    option, kind, label = declared.option, declared.type, f"{where}: {declared.name}"
    checked = _convert(value, kind)
    if isinstance(checked, float) and math.isnan(checked):
        raise OptionError(f"{label} must be a number, got NaN")
    if not _matches(checked, kind):
        hint = "; write it like 0.03 or 8/255" if isinstance(value, str) and _asks_for_number(kind) else ""
        raise OptionError(f"{label} expects {_type_name(kind)}, got {_shown(value)} ({type(value).__name__}){hint}")
    if option.choices is not None and not _among(checked, option.choices):
        raise OptionError(f"{label} expects one of {', '.join(map(repr, option.choices))}, got {_shown(value)}")
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        _check_range(checked, declared, label)
    return checked


def _among(value: Any, choices: tuple[Any, ...]) -> bool:
    flag = isinstance(value, bool)
    # An array compares element by element: only plain values can be asked for equality, and True is not 1.
    plain = isinstance(value, str | int | float | tuple)
    return any(value is choice or (plain and isinstance(choice, bool) == flag and value == choice) for choice in choices)


def _check_range(value: float, declared: Declared, label: str) -> None:
    option = declared.option
    named = (option.low, option.high, declared.default, *(option.choices or ()))
    if isinstance(value, float) and math.isinf(value) and not _untyped(declared.type) and not _among(value, named):
        raise OptionError(f"{label} must be finite, got {value!r}")
    parts, inside = [], True
    if option.low is not None:
        parts.append(f"{'>' if option.low_open else '>='} {option.low:.6g}")
        inside = value > option.low if option.low_open else value >= option.low
    if option.high is not None:
        parts.append(f"{'<' if option.high_open else '<='} {option.high:.6g}")
        inside = inside and (value < option.high if option.high_open else value <= option.high)
    if not inside:
        raise OptionError(f"{label} must be {' and '.join(parts)}, got {value!r}")


def validate_options(
    factory: Callable[..., Any], options: Mapping[str, Any], *, where: str, keyword_only: bool = False
) -> dict[str, Any]:
    """Check options against what a class or function declares.

    Args:
        factory: the class or function that takes them; one with ``**kwargs`` takes names that it does not declare.
        options: name -> value.
        where: what the message calls the owner.
        keyword_only: only keyword-only parameters are options, and none of them must be there yet.

    Returns:
        The options, converted as :func:`check_value` does.

    Raises:
        OptionError: an unknown name (with the nearest ones), a bad value, or one that is required and missing.
    """
    declared = declared_options(factory, keyword_only=keyword_only)
    parameters = _parameters(factory)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if name in declared:
            checked[name] = check_value(value, declared[name], where=where)
        elif takes_any and (name not in parameters or parameters[name].kind is inspect.Parameter.VAR_KEYWORD):
            checked[name] = value
        else:
            raise OptionError(f"{where} has no option {name!r}; {did_you_mean(name, declared)}")
    missing = [name for name, spec in declared.items() if spec.required and name not in checked]
    if missing and not keyword_only:
        raise OptionError(f"{where} needs {', '.join(missing)}")
    return checked
