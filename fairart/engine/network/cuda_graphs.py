"""The attack's forward and backward passes as CUDA graphs: launched as one, where small kernels leave the device waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from fairart.engine.network.network import Network

__all__ = ["GraphedNetwork"]


class GraphedNetwork(Network):
    """A network whose passes with an input gradient are captured once and replayed.

    Captured is the shape of the first batch, once for each mode of the module; other shapes, and passes without a gradient,
    run as they are. The parameters must take no gradient, as in every attack of ``fairart.attacks``, and must stay where
    they are in memory. The logits of a pass are overwritten by the next one.

    Args:
        network: on a CUDA device.
    """

    _network: Network

    def __init__(self, network: Network) -> None:
        nn.Module.__init__(self)
        self.module, self.device, self.dtype = network.module, network.device, network.dtype
        self.clip_values = network.clip_values
        # Not registered: the parameters stay those of the module, under their own names.
        self.__dict__["_network"] = network
        self._shape: torch.Size | None = None
        self._graphs: dict[bool, Callable[[Tensor], Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs (n, ...) in clip values."""
        if not (torch.is_grad_enabled() and x.requires_grad):
            logits: Tensor = self._network(x)
            return logits
        if self._shape is None:
            self._shape = x.shape
        if x.shape != self._shape:
            other: Tensor = self._network(x)
            return other
        mode = self.module.training
        if mode not in self._graphs:
            self._graphs[mode] = self._captured(x)
        return self._graphs[mode](x)

    def _captured(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        sample = x.detach().clone().requires_grad_(True)
        # Capturing runs the network several times: batch-norm must not have seen that.
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]

        def passes(inputs: Tensor) -> Tensor:
            logits: Tensor = self._network(inputs)
            return logits

        try:
            graphed: Any = torch.cuda.make_graphed_callables(passes, (sample,))
            return cast("Callable[[Tensor], Tensor]", graphed)
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
