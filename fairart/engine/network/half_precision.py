"""A network whose layers compute in bfloat16, for attacks whose outcome is judged in float32."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from fairart.engine.network.fixed_weights import FixedNetwork
from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.network import Network, logits_of
from fairart.engine.randomness import isolated_random_state
from fairart.errors import OptionError

__all__ = ["Bfloat16Network", "in_bfloat16"]

PROBED = 64
"""Inputs on which both networks are compared."""

LOGITS_RTOL = 0.1
"""Between the logits, by the norm of their differences within a sample: the seventh bit is the last in bfloat16."""


class Bfloat16Network(FixedNetwork):
    """A network in eval mode that runs under autocast to bfloat16; inputs, preprocessing and logits stay in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K), float32, of inputs (n, ...) in clip values."""
        inputs = self.preprocessed(x)
        if inputs.ndim == 4:
            inputs = inputs.to(memory_format=torch.channels_last)
        # The cache would keep casts made in inference mode, which no gradient may pass through.
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            return logits_of(self.module(inputs)).float()


def in_bfloat16(network: Network, x: Tensor) -> Bfloat16Network:
    """The network with its layers in bfloat16, batch-norm folded into the convolutions where that can be done.

    Args:
        network: in eval mode, with float32 weights.
        x: (n, ...) inputs in clip values; the first 64 are tried.

    Raises:
        OptionError: other weights than float32, or logits in bfloat16 that are too far from those in float32.
    """
    if network.dtype != torch.float32:
        raise OptionError(f"precision='bf16' needs a network with float32 weights, got {network.dtype}; use precision='fp32'")
    module = network.module
    # A module that cannot be traced, or has nothing to fold, runs as it is.
    with contextlib.suppress(OptionError):
        module = FoldedModule(module, dtype=torch.bfloat16, channels_last=True).eval()
    form = Bfloat16Network(network, module)
    error = _relative_error(network, form, x[:PROBED])
    if not error <= LOGITS_RTOL:
        raise OptionError(
            f"precision='bf16' does not fit this network: its logits in bfloat16 differ from those in float32 by {error:.2g} of "
            f"their spread, more than {LOGITS_RTOL:g}; use precision='fp32'"
        )
    return form


def _relative_error(network: Network, form: Network, x: Tensor) -> float:
    with isolated_random_state(0, network.device), torch.no_grad():
        own, other = network(x), form(x)
    # Only differences between the classes decide: an offset that all logits share would hide the error.
    spread, off = own - own.mean(dim=1, keepdim=True), (other - own) - (other - own).mean(dim=1, keepdim=True)
    return float(off.norm() / spread.norm())
