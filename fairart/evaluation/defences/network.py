"""A network behind a defence: exact forwards, and backwards through what stands in for the defence (BPDA)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairart.engine.network import Network
from fairart.engine.network.behind import NetworkBehind
from fairart.evaluation.attacks.unit import UnitNetwork
from fairart.evaluation.defences.specs import DefenceSpec
from fairart.evaluation.errors import EvaluationError

__all__ = ["DefendedNetwork"]


class _ValueOf(torch.autograd.Function):
    """The value of one tensor with the gradient of another, to the bit: a sum with a difference would round."""

    @staticmethod
    def forward(ctx: Any, gradient_of: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Through:
    """Inputs in clip values through a defence.

    Args:
        network: whose clip values, device and number format are used.
        spec: the defence.
        stream: of what is drawn; another one draws other numbers.
    """

    def __init__(self, network: Network, spec: DefenceSpec, stream: str) -> None:
        self._unit, self._spec, self._stream = UnitNetwork(network), spec, stream

    def __call__(self, x: Tensor, draw: int = 0) -> Tensor:
        defence = self._spec.defence
        with torch.no_grad():
            # An attack may ask about inputs a little outside; the defence knows none.
            unit = self._unit.scale(x.detach()).clamp(0, 1)
            exact = self._unit.restore(self._defended(unit, draw))
        if not (torch.is_grad_enabled() and x.requires_grad):
            return exact
        free = self._unit.scale(x)
        estimate = _same_shape(self._spec, self._spec.asked(lambda: defence.stand_in(free)), x, "stand_in")
        through: Tensor = _ValueOf.apply(self._unit.restore(estimate), exact)
        return through

    def _defended(self, unit: Tensor, draw: int) -> Tensor:
        defence = self._spec.defence
        seeds = _seeds(unit, f"{self._stream}/{draw}") if defence.random else (0,) * len(unit)
        found = _same_shape(self._spec, self._spec.asked(lambda: defence.apply(unit, seeds=seeds)), unit, "apply")
        if not bool(torch.isfinite(found).all()):
            raise EvaluationError(f"{self._spec.who} gave NaN or infinite values")
        return found.to(unit).clamp(0, 1)


class DefendedNetwork(NetworkBehind):
    """A network behind a defence.

    The gradient of the logits goes through the defence's stand-in. What a random defence draws follows from the input itself and
    from ``stream``: the same input is treated alike whatever its batch, and the smallest change draws anew.

    Args:
        network: the undefended network; nothing of it is changed.
        spec: the defence.
        stream: of what is drawn. The predictions that count draw from another stream than the attack saw.
        draws: over which the logits are averaged.
    """

    def __init__(self, network: Network, spec: DefenceSpec, *, stream: str, draws: int = 1) -> None:
        self._through_defence = _Through(network, spec, stream)
        super().__init__(network, self._through_defence)
        self._draws = draws if spec.defence.random else 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs (n, ...) in clip values, averaged over the draws."""
        if self._draws == 1:
            return super().forward(x)
        logits = [self.after_operation(self._through_defence(x, draw)) for draw in range(self._draws)]
        return torch.stack(logits).mean(dim=0)


def _seeds(unit: Tensor, stream: str) -> Sequence[int]:
    """(n,) a seed for each input, made of its values."""
    stem = blake2b(stream.encode(), digest_size=8)

    def one(row: Any) -> int:
        digest = stem.copy()
        digest.update(row.tobytes())
        return int.from_bytes(digest.digest(), "little") >> 1

    return tuple(one(row) for row in np.ascontiguousarray(unit.cpu().numpy()))


def _same_shape(spec: DefenceSpec, found: Any, x: Tensor, method: str) -> Tensor:
    if not isinstance(found, Tensor):
        raise EvaluationError(f"{spec.who}: {method} must give a tensor of shape {tuple(x.shape)}, got {type(found).__name__}")
    if found.shape != x.shape:
        raise EvaluationError(f"{spec.who}: {method} must give the shape {tuple(x.shape)}, got {tuple(found.shape)}")
    return found
