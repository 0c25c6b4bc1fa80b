"""One form for values of options and settings: the form that they have in JSON files.

A result in memory and its saved copy must compare and print alike. JSON has no tuples, no infinities and no numpy numbers, so
values are compared and printed in this form only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["canonical"]


def canonical(value: Any) -> Any:
    """Return the value in the form that JSON can hold; the form of such a value is the value itself.

    Args:
        value: any value. Arrays and tuples become lists, keys text, NaN None, infinities text such as ``"inf"``, and objects
            of other types their ``repr``.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
