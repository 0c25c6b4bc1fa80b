"""Edges of grey images (Canny, 1986), the distance to them, and equalised histograms, a batch at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["canny", "distance_to_edges", "equalise"]

_TAN_22 = math.tan(math.pi / 8)
# Lengths of a step aside, of a diagonal one and of a knight's move that together come closest to Euclid's (Borgefors, 1986).
_MOVES = (
    (((0, 1), (1, 0), (0, -1), (-1, 0)), 1.0),
    (((1, 1), (1, -1), (-1, 1), (-1, -1)), 1.4),
    (((1, 2), (2, 1), (-1, 2), (2, -1), (1, -2), (-2, 1), (-1, -2), (-2, -1)), 2.1969),
)


def canny(grey: Tensor, low: float, high: float) -> Tensor:
    """Thin edges: pixels whose gradient is largest across the edge.

    Args:
        grey: (n, 1, H, W), values as of 8-bit images, 0 to 255.
        low: gradient above which a pixel goes on with an edge; gradients are sums of the two absolute Sobel differences.
        high: gradient above which a pixel starts one.

    Returns:
        (n, 1, H, W) bool.
    """
    sobel = grey.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    gradients = functional.conv2d(padded, torch.stack([sobel, sobel.mT])[:, None])
    across, down = gradients[:, :1], gradients[:, 1:]
    strength = across.abs() + down.abs()
    weak = _largest_across(across, down, strength) & (strength > low)
    return _connected(weak & (strength > high), weak)


def _largest_across(across: Tensor, down: Tensor, strength: Tensor) -> Tensor:
    """Whether a pixel is stronger than its two neighbours across the edge; of equal ones the first counts."""
    around = functional.pad(strength, (1, 1, 1, 1))
    height, width = strength.shape[2:]

    def neighbour(rows: int, columns: int) -> Tensor:
        return around[:, :, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    def largest(rows: int, columns: int, *, strict: bool = False) -> Tensor:
        after = neighbour(-rows, -columns)
        return (strength > neighbour(rows, columns)) & ((strength > after) if strict else (strength >= after))

    flat, steep = down.abs() < _TAN_22 * across.abs(), across.abs() <= _TAN_22 * down.abs()
    falling = (across < 0) == (down < 0)
    diagonal = torch.where(falling, largest(-1, -1, strict=True), largest(-1, 1, strict=True))
    return torch.where(flat, largest(0, -1), torch.where(steep, largest(-1, 0), diagonal))


def _connected(strong: Tensor, weak: Tensor) -> Tensor:
    """Weak pixels that touch a strong one through weak ones."""

    def sweep(reached: Tensor, allowed: Tensor) -> Tensor:
        tall = reached | _shifted(reached, 1, 0) | _shifted(reached, -1, 0)
        return (tall | _shifted(tall, 0, 1) | _shifted(tall, 0, -1)) & allowed

    return _settled(sweep, strong, weak)


def _settled(sweep: Callable[[Tensor, Tensor], Tensor], state: Tensor, fixed: Tensor) -> Tensor:
    """Apply ``sweep(state, fixed)`` until nothing changes, only to the images where something still does."""
    state, active = state.clone(), torch.arange(len(state), device=state.device)
    while len(active):
        before = state[active]
        after = sweep(before, fixed[active])
        state[active] = after
        active = active[(after != before).flatten(1).any(dim=1)]
    return state


def _shifted(x: Tensor, down: int, right: int, fill: float = 0) -> Tensor:
    """What lies ``down`` rows below and ``right`` columns beside each pixel of (n, 1, H, W), ``fill`` beyond the border."""
    return functional.pad(x, (-right, right, -down, down), value=fill)


def distance_to_edges(edges: Tensor, limit: float) -> Tensor:
    """Chamfer distance in pixels to the nearest edge pixel, at most ``limit``.

    Args:
        edges: (n, 1, H, W) bool.
        limit: distances beyond it, and all those of an image without edges, are ``limit``.
    """
    start = torch.full(edges.shape, float(limit), device=edges.device).masked_fill(edges, 0.0)

    def nearest(distance: Tensor, moves: tuple[tuple[int, int], ...]) -> Tensor:
        return functools.reduce(torch.minimum, (_shifted(distance, *move, fill=limit) for move in moves))

    def sweep(distance: Tensor, _: Tensor) -> Tensor:
        for moves, length in _MOVES:
            distance = torch.minimum(distance, nearest(distance, moves) + length)
        return distance

    return _settled(sweep, start, start)


def equalise(grey: Tensor) -> Tensor:
    """Spread the grey values of each image over 0 to 255 by their ranks.

    Args:
        grey: (n, 1, H, W), whole numbers 0 to 255.

    Returns:
        (n, 1, H, W): the share of pixels up to a value, less those of the lowest one, of all others; an image of one value
        stays as it is.
    """
    flat = grey.flatten(1).long()
    counts = torch.zeros(len(flat), 256, device=grey.device).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    lowest = counts.gather(1, flat.amin(dim=1, keepdim=True))
    others = flat.shape[1] - lowest
    table = ((counts.cumsum(dim=1) - lowest) * 255 / others.clamp(min=1)).round().clamp(0, 255)
    equalised = torch.where(others > 0, table.gather(1, flat), flat.float())
    return equalised.reshape(grey.shape).to(grey.dtype)
