"""The logits in whatever a model returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["logits_of"]


def logits_of(out: Any) -> Tensor:
    """Logits of a model's output: the tensor itself, its entry ``logits``, or (N, K, 1, 1) without the last two dimensions."""
    if isinstance(out, Tensor) and out.ndim == 2:
        return out
    if not isinstance(out, Tensor):
        out = out["logits"] if isinstance(out, Mapping) else getattr(out, "logits", out)
    if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:] == (1, 1):
        out = out.flatten(1)
    logits: Tensor = out
    return logits
