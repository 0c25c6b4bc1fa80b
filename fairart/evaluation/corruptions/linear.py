"""Filters and resizings that act on rows and columns separately, as one small matrix an axis.

A matrix holds whatever happens at the border, so a blur with mirrored edges costs the same two matrix products as a
resizing, on any device, and there is no padding code.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

__all__ = ["box_resize", "clipped_zoom", "gaussian_filter", "smooth_zoom"]


def apply(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take (..., H, W) to (..., H', W') with matrices (H', H) and (W', W)."""
    # Columns first, as one tall product: the batch is contiguous in memory.
    return rows.to(x) @ (x @ columns.to(x).mT)


def gaussian_filter(x: Tensor, sigma: float, *, mode: str = "nearest", truncate: float = 4.0) -> Tensor:
    """Gaussian blur of the last two axes.

    Args:
        x: (..., H, W).
        sigma: standard deviation in pixels; 0 gives ``x`` itself.
        mode: what lies beyond the border: ``"nearest"`` repeats it, ``"reflect"`` mirrors at its outer edge.
        truncate: radius of the kernel in standard deviations.
    """
    if int(truncate * sigma + 0.5) == 0:
        return x
    height, width = (_gaussian_matrix(size, sigma, mode, truncate) for size in x.shape[-2:])
    return apply(x, height, width)


def clipped_zoom(x: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of the images by a factor >= 1, to their own size: bilinear, corners onto corners."""
    if factor == 1:
        return x
    height, width = (_zoom_matrix(size, factor) for size in x.shape[-2:])
    return apply(x, height, width)


def smooth_zoom(x: Tensor, factor: float) -> Tensor:
    """Enlarge about the centre by exactly a factor >= 1, to the images' own size: bilinear."""
    height, width = (_centred_zoom_matrix(size, factor) for size in x.shape[-2:])
    return apply(x, height, width)


def box_resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize by averaging whole pixels: each belongs to the output whose box holds its centre."""
    return apply(x, _box_matrix(x.shape[-2], height), _box_matrix(x.shape[-1], width))


@functools.lru_cache(maxsize=256)
def _gaussian_matrix(size: int, sigma: float, mode: str, truncate: float) -> Tensor:
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    sources = torch.arange(size)[:, None] + offsets
    if mode == "nearest":
        sources = sources.clamp(0, size - 1)
    else:
        # A period of the mirrored axis is there and back again.
        sources = sources.remainder(2 * size)
        sources = torch.minimum(sources, 2 * size - 1 - sources)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, sources, (weights / weights.sum()).expand(size, -1))


@functools.lru_cache(maxsize=256)
def _zoom_matrix(size: int, factor: float) -> Tensor:
    crop = math.ceil(size / factor)
    first = (size - crop) // 2
    enlarged = round(crop * factor)
    trim = (enlarged - size) // 2
    positions = torch.arange(trim, trim + size, dtype=torch.float64) * (crop - 1) / (enlarged - 1)
    return _between(first + positions, size)


@functools.lru_cache(maxsize=256)
def _centred_zoom_matrix(size: int, factor: float) -> Tensor:
    centre = (size - 1) / 2
    return _between(centre + (torch.arange(size, dtype=torch.float64) - centre) / factor, size)


def _between(positions: Tensor, size: int) -> Tensor:
    """Matrix that reads at positions within [0, size - 1], linearly between the two next to each."""
    below = positions.floor().clamp(0, size - 1)
    share = (positions - below)[:, None]
    matrix = torch.zeros(len(positions), size, dtype=torch.float64)
    matrix.scatter_add_(1, below.long()[:, None], 1 - share)
    return matrix.scatter_add_(1, (below + 1).clamp(max=size - 1).long()[:, None], share)


@functools.lru_cache(maxsize=256)
def _box_matrix(size: int, resized: int) -> Tensor:
    scale = size / resized
    centres = (torch.arange(resized, dtype=torch.float64) + 0.5) * scale
    distances = (torch.arange(size, dtype=torch.float64) + 0.5 - centres[:, None]) / max(scale, 1.0)
    inside = ((distances > -0.5) & (distances <= 0.5)).double()
    return inside / inside.sum(dim=1, keepdim=True)
