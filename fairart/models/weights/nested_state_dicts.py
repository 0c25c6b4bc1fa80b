"""Finding state dicts within what a weight file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairart.did_you_mean import did_you_mean
from fairart.errors import WeightsError

__all__ = ["Candidate", "find_candidates"]

DEEPEST = 6
"""Levels of dictionaries and lists that are searched."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A dictionary of tensors within a file.

    Args:
        key: where it stands: ``"state_dict"``, ``"ema.model"``, ``"state_dict[0]"``; empty for the file itself.
        tensors: name -> tensor.
        entry: position in the list that holds it; None outside of lists.
    """

    key: str
    tensors: Mapping[str, Tensor]
    entry: int | None = None

    def __str__(self) -> str:
        return repr(self.key) if self.key else "the file itself"


def find_candidates(
    content: Any, *, key: str | None = None, index: int | None = None, file: object = "the file"
) -> list[Candidate]:
    """Every dictionary of tensors, outer ones first.

    Args:
        content: what was read.
        key: the one to take, as :class:`Candidate` writes it; None for all.
        index: position in a list of state dicts to take; None for all.
        file: for messages.

    Raises:
        WeightsError: no dictionary of tensors, or none at ``key`` or ``index``.
    """
    found = list(_walk(content, "", None, 0))
    if not found:
        raise WeightsError(f"{file} holds no weights: expected a dictionary of tensors, got {_about(content)}")
    if index is not None:
        listed = [candidate for candidate in found if candidate.entry is not None]
        if not listed:
            raise WeightsError(f"{file} holds no list of state dicts, so weights_index={index} names nothing")
        chosen = [candidate for candidate in listed if candidate.entry == index]
        if not chosen:
            raise WeightsError(
                f"{file} holds a list of {len(listed)} state dicts: expected weights_index 0 to {len(listed) - 1}, got {index}"
            )
        found = chosen
    if key is None:
        return found
    chosen = [candidate for candidate in found if key in (candidate.key, _without_entry(candidate))]
    if not chosen:
        known = [candidate.key for candidate in found if candidate.key]
        hint = did_you_mean(key, known) if known else "the weights stand at the top of the file: leave the key out"
        raise WeightsError(f"{file} holds no state dict at key {key!r}; {hint}")
    return chosen


def _without_entry(candidate: Candidate) -> str:
    return candidate.key if candidate.entry is None else candidate.key.rpartition("[")[0]


def _walk(content: Any, key: str, entry: int | None, depth: int) -> Iterator[Candidate]:
    if depth > DEEPEST:
        return
    if isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
        if tensors:
            yield Candidate(key, tensors, entry)
        for name, value in content.items():
            if not isinstance(value, Tensor):
                yield from _walk(value, f"{key}.{name}" if key else str(name), entry, depth + 1)
    elif isinstance(content, list | tuple):
        for position, value in enumerate(content):
            if isinstance(value, Mapping):
                yield from _walk(value, f"{key}[{position}]", position, depth + 1)


def _about(content: Any) -> str:
    if isinstance(content, Mapping):
        names = ", ".join(repr(str(name)) for name in list(content)[:5])
        return f"a dictionary of {len(content)} entries without tensors" + (f" ({names})" if names else "")
    return f"a {type(content).__name__}"
