"""Norms of a budget: how options name them, and how a perturbation is held to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairart.attacks import project
from fairart.attacks.common import ClipValues
from fairart.norms import Norm, norm_order, norm_text

__all__ = ["Budget", "Norm", "hold", "norm_order"]


@dataclass(frozen=True)
class Budget:
    """The ball around each sample that the evaluation holds an attack to.

    Args:
        order: of the norm, inf or 2.
        eps: radius, >= 0.
    """

    order: float
    eps: float

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Budget | None:
        """The budget of an attack with these options; None where it has no finite eps, or one in a norm that is not known.

        Args:
            options: as they stand beside the numbers, also read back from a file.
        """
        eps, order = options.get("eps"), norm_order(options.get("norm", "inf"))
        if order is None or not isinstance(eps, int | float) or not math.isfinite(eps):
            return None
        return cls(order, float(eps))

    def is_same(self, other: Budget | None) -> bool:
        """Whether the other is this budget, but for digits that 32-bit numbers lack."""
        return other is not None and self.order == other.order and math.isclose(self.eps, other.eps, rel_tol=1e-6)

    def __str__(self) -> str:
        """As notes name it: ``"L-inf, eps 0.0314"``."""
        return f"{norm_text(self.order)}, eps {self.eps:.4g}"


def hold(x_adv: Tensor, x: Tensor, *, eps: float, order: float | None, clip_values: ClipValues) -> Tensor:
    """The perturbed inputs, projected onto the ball around ``x`` and the clip values.

    Args:
        x_adv: (n, ...) perturbed inputs.
        x: (n, ...) clean inputs, inside the clip values.
        eps: radius, >= 0; infinite for none.
        order: inf or 2; None, for any other norm, holds to the clip values alone.
        clip_values: limits of the inputs, or None.
    """
    if order == 2 and math.isfinite(eps):
        change = x_adv - x
        length = torch.linalg.vector_norm(change.flatten(1).double(), dim=1)
        shrink = (eps / length.clamp_min(torch.finfo(torch.float64).tiny)).view(-1, *[1] * (x.ndim - 1))
        # What lies inside stays as it is, to the bit. Clipping only brings the rest nearer: x lies in the clip values.
        x_adv = torch.where(shrink < 1, x + (change.double() * shrink).to(x), x_adv)
    return project(x_adv, x, eps=eps if order == math.inf else math.inf, clip_values=clip_values)
