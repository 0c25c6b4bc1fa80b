"""Spectral norms of layers, bounded from above: power iteration comes from below, and would certify too much."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["convolution_norm", "matrix_norm"]

GRID = 32
"""Frequencies in each direction, at least; 8 times the degree of the kernel if that is more."""

AT_ONCE = 1 << 22
"""Entries of matrices whose norms are taken at a time."""


def matrix_norm(weight: Tensor) -> float:
    """Largest singular value of an (out, in) matrix, in 64 bits."""
    return float(torch.linalg.matrix_norm(weight.detach().double(), ord=2))


def convolution_norm(weight: Tensor, *, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int) -> float:
    """An upper bound of the L2 norm of a convolution over images of any size, padded with zeros or not at all.

    Such a convolution is a part of the convolution over the infinite plane, whose norm is the largest singular value of the
    kernel's Fourier transform over all frequencies (Sedghi et al., ICLR 2019). The phases of a stride become channels. For
    a fixed vector the squared norm is a trigonometric polynomial whose degree n is that of the kernel; by a lemma of M. Riesz its
    maximum is at most that over N equidistant frequencies divided by ``cos(pi n / N)`` in each direction. So the bound is sound,
    and at most some per cent larger than the norm over the plane.

    Args:
        weight: (out, in / groups, k_1, ..., k_d) kernel.
        stride: of the convolution.
        dilation: of the kernel.
        groups: of channels.
    """
    kernel = _phases(_dilated(weight.detach().double(), dilation), stride)
    sizes = kernel.shape[2:]
    grid = [max(GRID, 8 * (size - 1)) if size > 1 else 1 for size in sizes]
    correction = math.prod(math.cos(math.pi * (size - 1) / number) for size, number in zip(sizes, grid, strict=True))
    largest = max(_largest(part, grid) for part in kernel.chunk(groups))
    return largest / math.sqrt(correction)


def _dilated(weight: Tensor, dilation: tuple[int, ...]) -> Tensor:
    """The kernel with zeros between its entries."""
    sizes = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
    spread = weight.new_zeros((*weight.shape[:2], *sizes))
    index: tuple[Any, ...] = (..., *(slice(None, None, step) for step in dilation))
    spread[index] = weight
    return spread


def _phases(weight: Tensor, stride: tuple[int, ...]) -> Tensor:
    """(out, in * prod(stride), ...) the kernel of the same convolution with stride 1 over images whose phases are channels."""
    padded = [-(-size // step) * step for size, step in zip(weight.shape[2:], stride, strict=True)]
    whole = weight.new_zeros((*weight.shape[:2], *padded))
    index: tuple[Any, ...] = (..., *(slice(0, size) for size in weight.shape[2:]))
    whole[index] = weight
    split = whole.view(*weight.shape[:2], *[n for size, step in zip(padded, stride, strict=True) for n in (size // step, step)])
    dims = len(stride)
    order = [0, 1, *[3 + 2 * place for place in range(dims)], *[2 + 2 * place for place in range(dims)]]
    blocks = [size // step for size, step in zip(padded, stride, strict=True)]
    return split.permute(order).reshape(weight.shape[0], -1, *blocks)


def _largest(kernel: Tensor, grid: list[int]) -> float:
    """Largest singular value over a grid of frequencies."""
    # Half of them: a real kernel has the same singular values at the opposite frequency.
    transformed = torch.fft.rfftn(kernel, s=grid, dim=tuple(range(2, kernel.ndim)))
    matrices = transformed.flatten(2).permute(2, 0, 1)
    step = max(1, AT_ONCE // matrices[0].numel())
    return max(float(torch.linalg.matrix_norm(matrices[i : i + step], ord=2).max()) for i in range(0, len(matrices), step))
