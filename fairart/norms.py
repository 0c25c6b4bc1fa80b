"""The norms that a budget is measured in: how options name them, and the budget where the user names none.

Importing this module does not load torch.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from fairart.plugins.options import Option

__all__ = ["DEFAULT_EPS", "Norm", "norm_name", "norm_order", "norm_text"]

Norm = Annotated[str | float, Option("norm that eps is measured in", choices=("inf", 2, math.inf, "Linf", "L2"))]
"""ART writes np.inf and 2, AutoAttack "Linf" and "L2"."""

_ORDERS = {"inf": math.inf, "linf": math.inf, "2": 2.0, "2.0": 2.0, "l2": 2.0}

DEFAULT_EPS = {math.inf: 8 / 255, 2.0: 128 / 255}
"""Order of the norm -> budget for inputs in 0..1 where none is named: those of the field's tables on CIFAR-10."""


def norm_order(norm: Any) -> float | None:
    """The order of a norm as options name it: inf or 2; None for any other."""
    return _ORDERS.get(str(norm).lower())


def norm_name(order: float) -> str | int:
    """The norm as options, config files and ART write it: ``"inf"`` or 2."""
    return "inf" if order == math.inf else 2


def norm_text(order: float) -> str:
    """The norm in a sentence: ``"L-inf"`` or ``"L2"``."""
    return "L-inf" if order == math.inf else "L2"
