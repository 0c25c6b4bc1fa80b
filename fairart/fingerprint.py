"""What a number follows from, in few enough bytes to stand beside it: two fingerprints are equal where the numbers would be.

A fingerprint is a flat mapping of plain values, so that a difference can be named.
"""

from __future__ import annotations

import inspect
import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

from fairart.plugins import BUILTIN

__all__ = [
    "array_digest",
    "classifier_fingerprint",
    "code_digest",
    "differences",
    "file_stamp",
    "options_fingerprint",
    "short_digest",
    "spec_fingerprint",
]

Fingerprint = dict[str, Any]


class Described(Protocol):
    """What a fingerprint reads of a registered thing that is about to run, such as an attack of an evaluation."""

    @property
    def name(self) -> str:
        """Registered name."""

    @property
    def plugin(self) -> str:
        """Who supplies it."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options, all of them."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """What it says about itself."""

    @property
    def run(self) -> Callable[..., Any]:
        """The function, with or without its options filled in."""


@runtime_checkable
class OnDisk(Protocol):
    """What a fingerprint reads of images that stay on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def described(self) -> str | None:
        """One line that differs where the images do; None where all of them must be read."""

    def chunks(self) -> Iterator[npt.NDArray[Any]]:
        """All values in order, some at a time."""


DIGEST = re.compile(r"[a-z]+ [0-9a-f]{32}")
"""What a digest looks like: two of them say that something differs, not what."""


def _pieces(stored: OnDisk, about: str) -> Iterator[bytes | memoryview]:
    """What a digest of images on disk is made of: the same as of an array, or the one line that describes them."""
    line = stored.described()
    yield (about if line is None else line).encode()
    if line is None:
        for chunk in stored.chunks():
            yield chunk.reshape(-1).view(np.uint8).data


def array_digest(array: npt.NDArray[Any] | torch.Tensor | OnDisk) -> str:
    """A digest of type, shape and every byte; of images on disk, where reading them all is too much work, of the files."""
    if isinstance(array, OnDisk):
        found = blake2b(digest_size=16)
        for piece in _pieces(array, f"{array.dtype}{array.shape}"):
            found.update(piece)
        return f"array {found.hexdigest()}"
    values = array.detach().cpu().contiguous() if isinstance(array, torch.Tensor) else array
    if isinstance(values, torch.Tensor):
        about, values = f"{values.dtype}{tuple(values.shape)}", values.reshape(-1).view(torch.uint8).numpy()
    else:
        about = f"{values.dtype}{values.shape}"
    found = blake2b(about.encode(), digest_size=16)
    found.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return f"array {found.hexdigest()}"


def short_digest(*arrays: Any) -> str:
    """Twelve hexadecimal digits of the contents of arrays or tensors, their types and shapes included."""
    found = sha256()
    for values in arrays:
        if isinstance(values, OnDisk):
            for piece in _pieces(values, f"{values.dtype.str}{values.shape}"):
                found.update(piece)
            continue
        array = np.ascontiguousarray(values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values)
        found.update(f"{array.dtype.str}{array.shape}".encode())
        # As bytes: an array of size 0, or of no dimension, has no buffer of its own.
        found.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return found.hexdigest()[:12]


def _text_digest(kind: str, *parts: str) -> str:
    return f"{kind} {blake2b(chr(0).join(parts).encode(), digest_size=16).hexdigest()}"


def _attributes(thing: Any) -> Fingerprint:
    """The plain attributes of an object, such as a probability or a mean; what else it holds is not looked at."""
    plain = bool | int | float | str | np.ndarray | torch.Tensor | torch.device | torch.dtype
    found = {name: value for name, value in vars(thing).items() if name != "training"}
    return {
        name: _comparable(value)
        for name, value in found.items()
        if isinstance(value, plain) or (isinstance(value, tuple | list) and all(isinstance(item, plain) for item in value))
    }


def _module_digest(module: torch.nn.Module) -> str:
    """The weights and buffers of a module, what it is built of, and the plain attributes of its parts."""
    parts = [f"{name} {type(part).__qualname__} {_attributes(part)}" for name, part in module.named_modules()]
    # Every parameter and buffer, also those that a state dictionary leaves out.
    states = [f"{name} {array_digest(value)}" for name, value in [*module.named_parameters(), *module.named_buffers()]]
    return _text_digest("module", *parts, "", *states)


def _classifier_parts(classifier: PyTorchClassifier) -> Fingerprint:
    clip, steps = classifier.clip_values, classifier.preprocessing_operations
    return {
        "model": _module_digest(classifier.model),
        "preprocessing": _text_digest("steps", *(f"{type(step).__qualname__} {_attributes(step)}" for step in steps)),
        "clip values": None if clip is None else [_comparable(value if np.ndim(value) else float(value)) for value in clip],
        "number of classes": int(classifier.nb_classes),
    }


def classifier_fingerprint(classifier: PyTorchClassifier) -> Fingerprint:
    """Weights, buffers and structure of the model, its preprocessing, clip values and classes.

    Code is not part of it: a model whose ``forward`` is rewritten over the same modules and weights looks the same.

    Args:
        classifier: an ART classifier.
    """
    return _classifier_parts(classifier)


def file_stamp(path: Path) -> str:
    """Size and time of change of a file, or of every file of a folder: cheap, and no rewriting goes unnoticed."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    lines = []
    for file in files:
        about = file.stat()
        lines.append(f"{file.relative_to(path) if file != path else ''} {about.st_size} {about.st_mtime_ns}")
    return _text_digest("files", *lines)


def _comparable(value: Any) -> Any:
    """A plain value that differs where the given one does."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, float) or math.isfinite(value) else str(value)
    if isinstance(value, str | Path):
        return _comparable_text(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        return array_digest(value)
    if isinstance(value, Mapping):
        return {str(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return _comparable_object(value)


def _comparable_text(value: str | Path) -> str:
    try:
        there = Path(value).expanduser()
        return f"{value} ({file_stamp(there)})" if str(value) and there.exists() else str(value)
    except (OSError, ValueError, RuntimeError):  # text that is no path
        return str(value)


def _comparable_object(value: Any) -> Any:
    if isinstance(value, torch.nn.Module):
        return _module_digest(value)
    if isinstance(value, PyTorchClassifier):
        return _text_digest("classifier", repr(_classifier_parts(value)))
    if isinstance(value, torch.device | torch.dtype | type):
        return repr(value)
    # Nobody knows what else an object holds: it equals nothing in another process, and nothing wrong is taken over.
    return f"{type(value).__qualname__} {secrets.token_hex(16)}"


def options_fingerprint(options: Mapping[str, Any]) -> Fingerprint:
    """Options by name; arrays, modules and classifiers as digests, files by size and time of change.

    Args:
        options: of an attack or a corruption.
    """
    return {name: _comparable(value) for name, value in options.items()}


def code_digest(function: Callable[..., Any]) -> str:
    """A digest of the file that a plugin's function stands in: plugins change without a version.

    Args:
        function: what was registered.
    """
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        return "unknown" if file is None else _text_digest("code", Path(file).read_text(encoding="utf-8", errors="replace"))
    except (OSError, TypeError):
        return "unknown"


def spec_fingerprint(spec: Described) -> Fingerprint:
    """An attack: who supplies it, its options, what it says about itself, and for a third party's its code.

    Args:
        spec: the attack.
    """
    code = {} if spec.plugin == BUILTIN else {"code": code_digest(getattr(spec.run, "func", spec.run))}
    notes = {f"note on {name}": value for name, value in options_fingerprint(spec.notes).items()}
    return {"attack": spec.name, "plugin": spec.plugin, **code, **options_fingerprint(spec.options), **notes}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two fingerprints differ in, for a message; empty where they are equal.

    Args:
        before: the one that was kept.
        now: the one of this evaluation.
    """
    detail = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new and (name in before) == (name in now):
            continue
        short = [str(value) for value in (old, new)]
        opaque = any(DIGEST.search(text) or len(text) > 40 for text in short)
        detail.append(f"another {name}" if opaque else f"{name} was {short[0]}, is {short[1]}")
    return detail
