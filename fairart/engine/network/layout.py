"""Networks with channels last in memory: which ones run so, and their weights laid out so for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fairart.engine.network.network import Network, logits_of, restored_modes
from fairart.engine.randomness import isolated_random_state

__all__ = ["ChannelsLastWeights", "runs_with_channels_last"]

RTOL, ATOL = 1e-3, 1e-4
"""Between the logits of two layouts: rounding, at any depth."""


def runs_with_channels_last(network: Network, input_shape: tuple[int, ...]) -> bool:
    """Whether the network has two-dimensional convolutions and gives the same logits with channels last.

    Two random inputs pass through copies of its weights: in eval mode once in each layout, and in train mode, with a backward
    pass, with channels last. What fails then (``view`` where ``reshape`` is needed) or differs (what goes by strides, or draws
    random numbers in memory order) makes it False. Parameters, buffers, modes and random states are left as they were; forward
    hooks are called.

    Args:
        network: takes inputs in clip values.
        input_shape: (C, H, W) of one sample; False for any other.
    """
    module = network.module
    if len(input_shape) != 3 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return False
    x = torch.rand((2, *input_shape), generator=torch.Generator().manual_seed(0)).to(network.device, network.dtype)
    try:
        own, laid_out = (_eval_logits(network, x, layout) for layout in (torch.contiguous_format, torch.channels_last))
        _train_pass(network, x)
    except Exception:  # any exception of the user's network; if fit meets it as well, fit raises it
        return False
    return torch.allclose(own, laid_out, rtol=RTOL, atol=ATOL)


def _eval_logits(network: Network, x: Tensor, layout: torch.memory_format) -> Tensor:
    with restored_modes(network.module, training=False), torch.no_grad():
        return _logits(network, _copies(network.module, layout), x, layout)


def _train_pass(network: Network, x: Tensor) -> None:
    weights = _copies(network.module, torch.channels_last)
    trained = [weights[name].requires_grad_(True) for name, value in network.module.named_parameters() if value.requires_grad]
    with restored_modes(network.module, training=True), torch.enable_grad():
        total = _logits(network, weights, x, torch.channels_last).sum()
        torch.autograd.grad(total, trained, allow_unused=True)


def _copies(module: nn.Module, layout: torch.memory_format) -> dict[str, Tensor]:
    found = [*module.named_parameters(), *module.named_buffers()]
    return {
        name: value.detach().clone(memory_format=layout if value.ndim == 4 else torch.preserve_format) for name, value in found
    }


def _logits(network: Network, weights: dict[str, Tensor], x: Tensor, layout: torch.memory_format) -> Tensor:
    # What the network draws is the same every time.
    with isolated_random_state(0, network.device):
        inside = network.preprocessed(x).to(memory_format=layout)
        return logits_of(torch.func.functional_call(network.module, weights, (inside,)))


class ChannelsLastWeights:
    """Kernels and their optimizer state with channels last for a while, each time in the same memory.

    Args:
        module: its parameters of four dimensions are laid out anew.
        optimizer: of these parameters.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._kernels = [parameter for parameter in module.parameters() if parameter.ndim == 4]
        self._optimizer = optimizer
        self._memory: list[Tensor] = []

    @contextlib.contextmanager
    def laid_out(self) -> Iterator[None]:
        """Afterwards they are where and as they were before."""
        if not self._memory:
            # Once: a captured graph reads from there in every epoch. Not contiguous(): with one channel both layouts are, and the
            # strides, which convolutions go by, would stay.
            self._memory = [parameter.data.clone(memory_format=torch.channels_last) for parameter in self._kernels]
        before: list[tuple[nn.Parameter, Tensor]] = []
        try:
            for parameter, memory in zip(self._kernels, self._memory, strict=True):
                before.append((parameter, parameter.data))
                self._move(parameter, memory)
            yield
        finally:
            for parameter, own in before:
                # In place: code that kept a reference, by state_dict() for example, sees the trained weights.
                self._move(parameter, own)

    def _move(self, parameter: nn.Parameter, memory: Tensor) -> None:
        gradient, parameter.grad = parameter.grad, None
        parameter.data = memory.copy_(parameter.data)
        if gradient is not None:
            parameter.grad = torch.empty_like(parameter).copy_(gradient).detach()
        state = self._optimizer.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()
