"""Input gradients of a strided first convolution as one plain convolution: on the CPU faster than torch's own.

The gradient for the input of a convolution of stride s falls into s x s phases, the pixels whose row and column leave the same
remainders on division by s. Each phase is a plain convolution of the output's gradient with the taps of the kernel that reach
it. Kernels for all phases are stacked, padded with zeros to one size, applied at once, and the phases shuffled into place. With
few input channels, as first layers have, the zeros cost less than the strided kernels of the CPU libraries
(``benchmarks/strided.py`` measures both).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["convolve", "phase_gradients"]

FEW = 4
"""Input channels up to which the phases are faster."""


class Geometry:
    """Which taps of a kernel reach the phases of one dimension, and where the phases lie.

    Row ``s i + a`` of the input (phase a) meets tap k in output row ``(s i + a + p - k) / s`` where that is whole.

    Args:
        kernel: taps, stride, padding: of this dimension.
    """

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        reached = {
            (phase, (phase + padding - tap) // stride): tap
            for phase in range(stride)
            for tap in range(kernel)
            if (phase + padding - tap) % stride == 0
        }
        offsets = [offset for _, offset in reached]
        self.first, self.last = min(offsets), max(offsets)
        window = range(self.first, self.last + 1)
        # Where no tap reaches, the one past the kernel's end, which is zero.
        self.taps = [reached.get((phase, offset), kernel) for phase in range(stride) for offset in window]
        self.size = len(window)

    def margins(self, rows: int, blocks: int) -> tuple[int, int]:
        """Zeros before and after ``rows`` of output gradient, so that a plain convolution gives ``blocks`` rows."""
        return -self.first, blocks + self.last - rows


_geometry = functools.cache(Geometry)


class _Convolution(torch.autograd.Function):
    """``conv2d`` without dilation or groups, whose input gradient is computed phase by phase."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(x, weight)
        ctx.biases = None if bias is None else [len(bias)]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            for_x = input_gradient(gradient, weight, x.shape[2:], stride=ctx.stride, padding=ctx.padding)
        wanted = [False, *ctx.needs_input_grad[1:3]]
        if any(wanted):
            stride, padding, one, none = [ctx.stride] * 2, list(ctx.padding), [1, 1], [0, 0]
            _, for_weight, for_bias = torch.ops.aten.convolution_backward(
                gradient, x, weight, ctx.biases, stride, padding, one, False, none, 1, wanted
            )
        return for_x, for_weight, for_bias, None, None


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int, padding: tuple[int, int]) -> Tensor:
    """``torch.nn.functional.conv2d``, with another way to its input gradient.

    Args:
        x: (N, C, H, W).
        weight: (O, C, kernel height, kernel width).
        bias: (O,).
        stride: of both dimensions.
        padding: zeros above and below, left and right.

    Returns:
        What ``conv2d`` gives; its gradients agree to rounding.
    """
    out: Tensor = _Convolution.apply(x, weight, bias, stride, padding)
    return out


def input_gradient(gradient: Tensor, weight: Tensor, size: tuple[int, ...], *, stride: int, padding: tuple[int, int]) -> Tensor:
    """The gradient (N, C, H, W) for the input of a convolution, from that for its output (N, O, h, w).

    Args:
        gradient: for the output.
        weight: (O, C, kernel height, kernel width).
        size: (H, W).
        stride: of both dimensions.
        padding: zeros above and below, left and right.
    """
    outputs, channels = weight.shape[:2]
    rows, columns = (_geometry(k, stride, p) for k, p in zip(weight.shape[2:], padding, strict=True))
    reached = [torch.tensor(dimension.taps, device=weight.device) for dimension in (rows, columns)]
    # One tap of zeros past the end, for the places that no tap reaches.
    taps = F.pad(weight, (0, 1, 0, 1)).index_select(2, reached[0]).index_select(3, reached[1])
    taps = taps.view(outputs, channels, stride, rows.size, stride, columns.size).permute(1, 2, 4, 0, 3, 5)
    kernel = taps.reshape(channels * stride * stride, outputs, rows.size, columns.size)
    if gradient.is_contiguous(memory_format=torch.channels_last):
        kernel = kernel.contiguous(memory_format=torch.channels_last)
    blocks = [-(-length // stride) for length in size]
    above, below = rows.margins(gradient.shape[2], blocks[0])
    left, right = columns.margins(gradient.shape[3], blocks[1])
    if above == below == left == right and above >= 0:
        phases = F.conv2d(gradient, kernel, padding=above)
    else:
        phases = F.conv2d(F.pad(gradient, (left, right, above, below)), kernel)
    return F.pixel_shuffle(phases, stride)[:, :, : size[0], : size[1]]


@contextlib.contextmanager
def phase_gradients(module: nn.Module) -> Iterator[None]:
    """Let a network's strided first convolutions compute their input gradients phase by phase for a while.

    Args:
        module: on the CPU; each ``nn.Conv2d`` of at most 4 input channels and a stride above 1 takes part, subclasses and those
            with dilation, groups or another padding than zeros do not.
    """
    chosen = [part for part in module.modules() if isinstance(part, nn.Conv2d) and _takes_part(part)]
    for part in chosen:
        part.__dict__["_conv_forward"] = functools.partial(_forward, part)
    try:
        yield
    finally:
        for part in chosen:
            part.__dict__.pop("_conv_forward", None)


def takes_part(module: nn.Module) -> bool:
    """Whether :func:`phase_gradients` changes anything in it."""
    return any(isinstance(part, nn.Conv2d) and _takes_part(part) for part in module.modules())


def _takes_part(part: nn.Conv2d) -> bool:
    return (
        type(part) is nn.Conv2d
        and part.in_channels <= FEW
        and part.groups == 1
        and part.dilation == (1, 1)
        and part.stride[0] == part.stride[1] > 1
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
        # One of the user's own, or that of a fit around this one.
        and "_conv_forward" not in vars(part)
    )


def _forward(part: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # Under autocast the weights of the backward pass would not be those of the forward pass.
    mixed, compiled = torch.is_autocast_enabled(x.device.type), torch.compiler.is_compiling()
    if mixed or compiled or x.ndim != 4 or not (x.requires_grad and torch.is_grad_enabled()):
        out: Tensor = nn.Conv2d._conv_forward(part, x, weight, bias)
        return out
    top, side = (int(number) for number in part.padding)
    return convolve(x, weight, bias, stride=part.stride[0], padding=(top, side))
