"""Several parts with their options, as one writes them on a command line: ``crop-flip,mixup:alpha=0.4:probability=0.5``.

Importing this module loads neither numpy, torch nor YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairart.errors import OptionError

__all__ = ["WrittenPart", "read_parts", "write_parts"]

FORM = "names with options, such as crop-flip,mixup:alpha=0.4"
RESERVED = (",", ":", "=")


@dataclass(frozen=True)
class WrittenPart:
    """One part.

    Args:
        name: registered name.
        options: its options.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read_parts(value: Any, *, label: str) -> tuple[WrittenPart, ...]:
    """Read parts in their order.

    Args:
        value: text such as ``"crop-flip,mixup:alpha=0.4"``, or a list with an entry a part: text, or ``{name: {option: value}}``.
        label: what an error calls it.

    Returns:
        The parts; none for an empty text or list.

    Raises:
        OptionError: another form, or an option given twice.
    """
    if isinstance(value, str):
        return tuple(_from_text(text, label) for text in value.split(",")) if value.strip() else ()
    if isinstance(value, Mapping):
        return tuple(_from_mapping(name, options, label) for name, options in value.items())
    if isinstance(value, list | tuple):
        return tuple(part for entry in value for part in _entries(entry, label))
    raise OptionError(f"{label} expects {FORM}, got {value!r}")


def _entries(entry: Any, label: str) -> tuple[WrittenPart, ...]:
    if not isinstance(entry, str | Mapping):
        raise OptionError(f"{label} expects {FORM}, got {entry!r} in a list")
    return read_parts(entry, label=label)


def _from_mapping(name: Any, options: Any, label: str) -> WrittenPart:
    options = {} if options is None else options
    good = isinstance(name, str) and name and not any(mark in name for mark in RESERVED)
    if not good or not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise OptionError(f"{label} expects a name with its options, such as mixup: {{alpha: 0.4}}, got {name!r}: {options!r}")
    return WrittenPart(name, {key.replace("-", "_"): value for key, value in options.items()})


def _from_text(text: str, label: str) -> WrittenPart:
    name, *settings = (word.strip() for word in text.split(":"))
    if not name or "=" in name:
        raise OptionError(f"{label} expects {FORM}, got {text.strip()!r}")
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, written = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise OptionError(f"{label}: expected OPTION=VALUE after {name!r}, got {setting!r}")
        if key in options:
            raise OptionError(f"{label}: {name!r} has the option {key!r} twice")
        options[key] = _value(written.strip())
    return WrittenPart(name, options)


def _value(text: str) -> Any:
    words: dict[str, Any] = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def write_parts(parts: tuple[WrittenPart, ...]) -> str:
    """The text from which :func:`read_parts` reads the same parts.

    Args:
        parts: in their order.

    Raises:
        OptionError: a value that cannot be written so.
    """
    return ",".join(
        ":".join([part.name, *(f"{key}={_text(key, value)}" for key, value in part.options.items())]) for part in parts
    )


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and value and value == value.strip() and not any(mark in value for mark in RESERVED):
        return value
    raise OptionError(f"option {key}: expected a number, a word, true, false or none, got {value!r}")
