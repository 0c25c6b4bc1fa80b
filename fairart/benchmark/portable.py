"""Results without the paths of the machine that made them, so that they read alike on every other one. Imports nothing heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["absolute_paths", "portable", "portable_json", "portable_text"]

PREFIX = r"(?P<prefix>(?:[\w.+-]+=|[\w.+-]{2,}:)*)"
ROOT = r"(?:~?/|~?\\|[A-Za-z]:[\\/])"
WHOLE = re.compile(rf"^{PREFIX}{ROOT}.*$", re.DOTALL)
"""A value that is an absolute path, or ends in one: ``/data/x.npz``, ``npz:/data/x.npz``."""
WITHIN = re.compile(r"(?<![\w./\\~-])(?:~|[A-Za-z]:)?[\\/](?:[^\s\\/:;,'\"]+[\\/])+")
"""The folders of an absolute path within a sentence."""
FOLDERS = ("data_root", "plugins_dir")
"""Fields that are folders of one machine; not even their names mean anything elsewhere."""


def portable(value: Any) -> Any:
    """Plain values in which every absolute path is replaced by its last part, and folders of data and plugins by None.

    Args:
        value: numbers, text, lists and mappings, as in a JSON file.
    """
    if isinstance(value, Mapping):
        return {name: _without_folder(name, portable(one)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [portable(one) for one in value]
    if isinstance(value, str) and (found := WHOLE.match(value)):
        prefix = found["prefix"]
        return prefix + re.split(r"[\\/]", value[len(prefix) :].rstrip("\\/"))[-1]
    return value


def _without_folder(name: Any, value: Any) -> Any:
    return None if name in FOLDERS else value


def portable_text(text: str) -> str:
    """A sentence in which absolute paths are replaced by their last parts."""
    return WITHIN.sub("", text)


def portable_json(contents: bytes) -> bytes:
    """A JSON file with portable values; the same bytes if it names no absolute path.

    Args:
        contents: of the file, one JSON value.
    """
    before = json.loads(contents)
    after = portable(before)
    return contents if after == before else (json.dumps(after) + "\n").encode()


def absolute_paths(value: Any) -> list[str]:
    """Absolute paths among plain values, each once.

    Args:
        value: as for :func:`portable`.
    """
    if isinstance(value, Mapping):
        return list(dict.fromkeys(path for one in value.values() for path in absolute_paths(one)))
    if isinstance(value, list | tuple):
        return list(dict.fromkeys(path for one in value for path in absolute_paths(one)))
    return [value] if isinstance(value, str) and WHOLE.match(value) else []
