"""A network whose weights stay as they are for a while, computed faster: for attacks that take thousands of passes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.layout import ATOL, RTOL
from fairart.engine.network.network import Network, logits_of
from fairart.engine.randomness import isolated_random_state
from fairart.errors import OptionError

__all__ = ["FixedNetwork", "with_fixed_weights"]

PROBED = 8
"""Inputs that both networks are given before the faster one is believed."""

GRADIENT_RTOL = 1e-2
"""Between input gradients, by their norm: rounding switches a few rectifiers, a gradient that is cut off differs by its size."""


class FixedNetwork(Network):
    """A :class:`Network` in eval mode with another module in place of its own, given images with channels last.

    Args:
        network: whose preprocessing and clip values are used; nothing of it is changed.
        module: what is run.
    """

    def __init__(self, network: Network, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.module = module
        self.device, self.dtype, self.clip_values = network.device, network.dtype, network.clip_values
        self._operations = network._operations

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs (n, C, H, W) in clip values."""
        return logits_of(self.module(self.preprocessed(x).to(memory_format=torch.channels_last)))


@contextlib.contextmanager
def with_fixed_weights(network: Network, x: Tensor, *, gradients: bool = True) -> Iterator[Network | None]:
    """A faster form of a network for as long as nobody changes its weights.

    Kernels and images have channels last in memory, and batch-norm is folded into the convolutions where that can be done. The
    form is taken only if logits and input gradients of the first inputs agree with the network's own up to rounding, and if
    it runs in inference mode. Afterwards the kernels are the tensors that they were.

    Args:
        network: in eval mode.
        x: (n, ...) inputs in clip values; the first 8 are tried.
        gradients: whether input gradients are needed, and so compared.

    Yields:
        The faster form; None where there is none: on other devices than the CPU, without two-dimensional convolutions, for
        networks that draw random numbers or cannot be run so.
    """
    module = network.module
    if network.device.type != "cpu" or x.ndim != 4 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        yield None
        return
    with _kernels_with_channels_last(module):
        yield next((form for form in _forms(network) if _agree(network, form, x[:PROBED], gradients)), None)


def _forms(network: Network) -> Iterator[Network]:
    # A module that cannot be traced, or has nothing to fold, runs as it is.
    with contextlib.suppress(OptionError):
        yield FixedNetwork(network, FoldedModule(network.module, channels_last=True).eval())
    yield FixedNetwork(network, network.module)


def _agree(network: Network, form: Network, x: Tensor, gradients: bool) -> bool:
    own, own_gradient = _logits_and_gradient(network, x, gradients)
    try:
        logits, gradient = _logits_and_gradient(form, x, gradients)
        with isolated_random_state(0, network.device), torch.inference_mode():
            form(x.clone())
    except Exception:  # whatever a third party's forward raises: the network itself is used
        return False
    # Tracing leaves out no_grad() inside a forward: the logits agree then, the gradients do not.
    close = (gradient - own_gradient).norm() <= GRADIENT_RTOL * own_gradient.norm()
    return torch.allclose(logits, own, rtol=RTOL, atol=ATOL) and bool(close)


def _logits_and_gradient(network: Network, x: Tensor, gradients: bool) -> tuple[Tensor, Tensor]:
    # Of another seed in each form: what draws random numbers disagrees with itself.
    inputs = x.detach().clone().requires_grad_(gradients)
    with isolated_random_state(isinstance(network, FixedNetwork), network.device), torch.set_grad_enabled(gradients):
        logits = network(inputs)
        weights = torch.linspace(-1, 2, logits.numel(), dtype=logits.dtype).square().view_as(logits)
        gradient = torch.autograd.grad((weights * logits).sum(), inputs, allow_unused=True)[0] if logits.requires_grad else None
    return logits.detach(), torch.zeros_like(x) if gradient is None else gradient


@contextlib.contextmanager
def _kernels_with_channels_last(module: nn.Module) -> Iterator[None]:
    kernels = [(parameter, parameter.data) for parameter in module.parameters() if parameter.ndim == 4]
    try:
        for parameter, own in kernels:
            # Not contiguous(): with one channel both layouts are, and the strides, which convolutions go by, would stay.
            parameter.data = own.clone(memory_format=torch.channels_last)
        yield
    finally:
        for parameter, own in kernels:
            parameter.data = own
