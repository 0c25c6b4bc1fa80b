"""Reading YAML files of settings, with one error for whatever is wrong with them.

Importing this module does not load YAML.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairart.errors import OptionError

__all__ = ["read_yaml"]


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Args:
        path: file.

    Raises:
        FileNotFoundError: the file does not exist.
        OptionError: it is not YAML, not a mapping, or has a key twice; the message names the file.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        found = yaml.safe_load(text)
        twice = _key_given_twice(yaml.compose(text, Loader=yaml.SafeLoader))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no config file {str(path)!r}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise OptionError(f"{path} must contain 'key: value' lines, got {type(found).__name__}")
    if twice is not None:
        raise OptionError(f"{path} has the key {twice} twice: YAML would silently use the last one")
    return found


def _key_given_twice(node: Any) -> str | None:
    """Name and line of the first key that a mapping of a YAML document has twice."""
    children = [] if node is None or isinstance(node.value, str) else node.value
    pairs = [child for child in children if isinstance(child, tuple)]
    seen: set[str] = set()
    for key, _ in pairs:
        if str(key.value) in seen:
            return f"{str(key.value)!r} (line {key.start_mark.line + 1})"
        seen.add(str(key.value))
    below = [value for _, value in pairs] or children
    return next((found for found in map(_key_given_twice, below) if found), None)
