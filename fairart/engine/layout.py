"""Networks with channels last in memory: which ones run so, and their weights laid out so for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from fairart.engine.network import Network, restored_modes

__all__ = ["AsTheyWere", "channels_last_weights", "runs_with_channels_last"]

AsTheyWere = Callable[[], contextlib.AbstractContextManager[None]]
RTOL, ATOL = 1e-3, 1e-4
"""Between the logits of two layouts: rounding, at any depth."""


def runs_with_channels_last(network: Network, input_shape: tuple[int, ...]) -> bool:
    """Whether the network has two-dimensional convolutions and gives the same logits with channels last.

    Two random inputs pass through it in eval mode, once in each layout. What fails then (``view`` where ``reshape`` is needed) or
    differs (what depends on strides, or draws random numbers) makes it False. Nothing of the network is changed.

    Args:
        network: takes inputs in clip values.
        input_shape: (C, H, W) of one sample; False for any other.
    """
    module = network.module
    if len(input_shape) != 3 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((2, *input_shape), generator=generator).to(network.device, network.dtype)
    logits = []
    # In one thread's random state: what the network draws is the same twice, and the process's own stays as it was.
    with restored_modes(module, training=False), torch.no_grad():
        for memory_format in (torch.contiguous_format, torch.channels_last):
            weights = {name: _laid_out(value, memory_format) for name, value in module.named_parameters()}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                try:
                    inside = network.preprocessed(x).to(memory_format=memory_format)
                    logits.append(torch.func.functional_call(module, weights, (inside,)))
                except Exception:  # whatever a stranger's network raises: fit will say it, if it raises there too
                    return False
    return all(isinstance(one, Tensor) for one in logits) and torch.allclose(logits[0], logits[1], rtol=RTOL, atol=ATOL)


def _laid_out(value: Tensor, memory_format: torch.memory_format) -> Tensor:
    return value.detach().to(memory_format=memory_format) if value.ndim == 4 else value.detach()


@contextlib.contextmanager
def channels_last_weights(module: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[AsTheyWere]:
    """Hold kernels and their optimizer state with channels last; afterwards they are where and as they were laid out before.

    Args:
        module: its parameters of four dimensions are laid out anew.
        optimizer: of these parameters.

    Yields:
        A context in which they are as they were, for whoever looks at them in between.
    """
    # Not contiguous(): with one channel both layouts are, and the strides, which convolutions go by, would stay.
    kernels = [
        (parameter, parameter.data, parameter.data.to(memory_format=torch.channels_last))
        for parameter in module.parameters()
        if parameter.ndim == 4
    ]

    def lay_out() -> None:
        for parameter, own, laid_out in kernels:
            # Into the same memory each time: a captured graph reads from there.
            parameter.data = laid_out.copy_(own)
            _lay_out_state(optimizer, parameter)

    def put_back() -> None:
        for parameter, own, _ in kernels:
            # Into its old place: whoever held on to it, by state_dict() for example, sees the trained weights.
            parameter.data = own.copy_(parameter.data)
            parameter.grad = None
            _lay_out_state(optimizer, parameter)

    @contextlib.contextmanager
    def as_they_were() -> Iterator[None]:
        put_back()
        try:
            yield
        finally:
            lay_out()

    lay_out()
    try:
        yield as_they_were
    finally:
        put_back()


def _lay_out_state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()
