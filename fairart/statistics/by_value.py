"""Equality of records that hold arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

__all__ = ["ComparedByValue"]


def _array(value: Any) -> Any:
    # A tensor, without importing torch.
    return np.asarray(value.detach().cpu()) if hasattr(value, "detach") else value


def _same(one: Any, other: Any) -> bool:
    one, other = _array(one), _array(other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        first, second = np.asarray(one), np.asarray(other)
        floats = first.dtype.kind == second.dtype.kind == "f"
        return np.array_equal(first, second, equal_nan=floats)
    return bool(one == other) or (one != one and other != other)


class ComparedByValue:
    """Equality of records that hold arrays or tensors: every field has the same value, NaN equal to NaN.

    For dataclasses with ``eq=False``: the equality they would get compares arrays, whose truth value is ambiguous.
    """

    def __eq__(self, other: object) -> bool:
        """Whether both are of one class and have the same values."""
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]  # arrays cannot be hashed
