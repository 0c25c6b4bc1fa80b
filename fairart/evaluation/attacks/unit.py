"""A network of inputs between 0 and 1, which most published attacks assume."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairart.engine.network import Network

__all__ = ["UnitNetwork"]


class UnitNetwork(nn.Module):
    """Float32 logits of float32 inputs, scaled from the clip values to [0, 1].

    With clip values (0, 1), or none, and a float32 network it gives that network's logits bit by bit.

    Args:
        network: the network in the classifier's own input space.
        logit_scale: what the logits are multiplied with.
    """

    def __init__(self, network: Network, *, logit_scale: float = 1.0) -> None:
        super().__init__()
        self.network, self._logit_scale = network, logit_scale
        clip = network.clip_values
        self.bounded = clip is not None
        self._plain = clip is None or (isinstance(clip[0], float) and (clip[0], clip[1]) == (0.0, 1.0))
        low, high = clip if clip is not None else (0.0, 1.0)
        self._low = torch.as_tensor(low, dtype=network.dtype, device=network.device)
        self._span = torch.as_tensor(high, dtype=network.dtype, device=network.device) - self._low

    @property
    def span(self) -> float:
        """The widest range of a feature, in the classifier's units; 1 without clip values."""
        return float(self._span.max())

    def scale(self, x: Tensor) -> Tensor:
        """(n, ...) inputs in the classifier's units, as float32 between 0 and 1."""
        if self._plain:
            return x.to(torch.float32)
        # A feature that has but one value is 0.
        return ((x - self._low) / torch.where(self._span > 0, self._span, 1)).to(torch.float32)

    def restore(self, unit: Tensor) -> Tensor:
        """Back to the classifier's units, device and dtype."""
        unit = unit.to(device=self.network.device, dtype=self.network.dtype)
        return unit if self._plain else self._low + self._span * unit

    def forward(self, unit: Tensor) -> Tensor:
        """(n, K) logits of (n, ...) inputs between 0 and 1."""
        logits: Tensor = self.network(self.restore(unit))
        return (logits if self._logit_scale == 1 else logits * self._logit_scale).to(torch.float32)
