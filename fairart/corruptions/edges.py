"""Edges of grey images (Canny, 1986), the distance to them, and equalised histograms, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["canny", "distance_to_edges", "equalise", "weighted3"]

_TAN_22 = math.tan(math.pi / 8)
_SOBEL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
# Lengths of a diagonal step and of a knight's move that come closest to Euclid's beside steps of 1 (Borgefors, 1986), in 16
# binary places as OpenCV holds them: sums are exact, so that they round alike in any order.
_DIAGONAL = round(1.4 * 2**16) / 2**16
_KNIGHT = round(2.1969 * 2**16) / 2**16


def canny(grey: Tensor, low: float, high: float) -> Tensor:
    """Thin edges: pixels whose gradient is largest across the edge.

    Args:
        grey: (n, 1, H, W), values as of 8-bit images, 0 to 255.
        low: gradient above which a pixel goes on with an edge; gradients are sums of the two absolute Sobel differences.
        high: gradient above which a pixel starts one.

    Returns:
        (n, 1, H, W) bool.
    """
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    across, down = weighted3(padded, _SOBEL), weighted3(padded, tuple(zip(*_SOBEL, strict=True)))
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


def _shifted(x: Tensor, down: int, right: int) -> Tensor:
    """What lies ``down`` rows below and ``right`` columns beside each pixel of (n, 1, H, W), 0 beyond the border."""
    return functional.pad(x, (-right, right, -down, down))


def weighted3(padded: Tensor, kernel: Sequence[Sequence[float]]) -> Tensor:
    """Correlate (..., H + 2, W + 2) with a kernel of 3 x 3 to (..., H, W): with one channel much faster than a convolution."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    total = padded.new_zeros(*padded.shape[:-2], height, width)
    for down, row in enumerate(kernel):
        for right, weight in enumerate(row):
            if weight:
                total.add_(padded[..., down : down + height, right : right + width], alpha=weight)
    return total


def distance_to_edges(edges: Tensor, limit: float) -> Tensor:
    """Chamfer distance in pixels to the nearest edge pixel, at most ``limit``.

    Args:
        edges: (n, 1, H, W) bool.
        limit: distances beyond it, and all those of an image without edges, are ``limit``.
    """
    # Rows come first, so that a row of all images lies together; two pixels of margin take every move.
    rows = edges[:, 0].transpose(0, 1)
    distance = torch.full((rows.shape[0] + 4, rows.shape[1], rows.shape[2] + 4), float(limit), device=edges.device)
    distance[2:-2, :, 2:-2].masked_fill_(rows, 0)
    # Downwards and to the right, then upwards and to the left: a shortest way needs no more.
    distance = _passed_down(_passed_down(distance).flip(0, 2)).flip(0, 2)
    return distance[2:-2, :, 2:-2].transpose(0, 1)[:, None]


def _passed_down(distance: Tensor) -> Tensor:
    """Distances (H + 4, n, W + 4) after those of the two rows above, and from the left; changed in place."""
    places = torch.arange(distance.shape[2] - 4, device=distance.device, dtype=distance.dtype)
    for row in range(2, len(distance) - 2):
        above, higher, here = distance[row - 1], distance[row - 2], distance[row, :, 2:-2]
        diagonal = torch.minimum(above[:, 1:-3], above[:, 3:-1])
        knight = torch.minimum(torch.minimum(above[:, :-4], above[:, 4:]), torch.minimum(higher[:, 1:-3], higher[:, 3:-1]))
        nearest = torch.minimum(torch.minimum(here, above[:, 2:-2] + 1), torch.minimum(diagonal + _DIAGONAL, knight + _KNIGHT))
        # A step to the right costs 1, so the least of "distance less column" so far, plus the column.
        here.copy_((nearest - places).cummin(dim=1).values + places)
    return distance


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
