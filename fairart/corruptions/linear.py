"""Filters and resizings that act on rows and columns separately, as one small matrix an axis.

A matrix holds whatever happens at the border, so a blur with mirrored edges costs the same two matrix products as a
resizing, on any device, and there is no padding code. What is not separable is a sum of few such pairs of matrices.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

__all__ = ["box_resize", "clipped_zoom", "filter_mirrored", "gaussian_filter", "mean_zoom"]

Terms = tuple[Tensor, Tensor]
"""(m, H', H) and (m, W', W): a linear map of images as the sum of ``rows[k] @ x @ columns[k].T``."""

_NEGLIGIBLE = 1e-12
"""Terms whose share in the sum is below this are left out: rounding of float64."""

_CHUNK = 1 << 19
"""Numbers in flight while terms are summed, about what a processor's cache holds."""


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


def mean_zoom(x: Tensor, factors: tuple[float, ...], *, whole_pixels: bool) -> Tensor:
    """Mean of enlargements about the middle, to the images' own size: bilinear.

    Args:
        x: (..., H, W).
        factors: at least one, each >= 1.
        whole_pixels: enlarge as :func:`clipped_zoom` does, from whole pixels to whole pixels; else by exactly the factors.
    """
    return _apply_sum(x, _zoom_terms(x.shape[-2], x.shape[-1], factors, whole_pixels))


def filter_mirrored(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate the last two axes with a kernel; what lies beyond the border is mirrored at the outermost pixels' centres.

    Args:
        x: (..., H, W).
        kernel: (k, k) float64 on the CPU, k odd and at most twice the shorter side.
    """
    return _apply_sum(x, _kernel_terms(x.shape[-2], x.shape[-1], tuple(map(tuple, kernel.tolist()))))


def box_resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize by averaging whole pixels, as Pillow's box filter does: each belongs to the output whose box holds its centre."""
    return apply(x, _box_matrix(x.shape[-2], height), _box_matrix(x.shape[-1], width))


def _apply_sum(x: Tensor, terms: Terms) -> Tensor:
    rows, columns = (matrices.to(x) for matrices in terms)
    number, height, width = rows.shape[0], rows.shape[2], columns.shape[2]
    # Images times all column matrices side by side, then all row matrices times that: two products, whatever the terms.
    beside = columns.reshape(-1, width).mT
    ahead = rows.permute(1, 2, 0).reshape(rows.shape[1], -1)
    planes = x.reshape(-1, height, width)
    each = max(1, _CHUNK // (number * height * columns.shape[1]))
    summed = torch.empty(len(planes), rows.shape[1], columns.shape[1], dtype=x.dtype, device=x.device)
    for first in range(0, len(planes), each):
        wide = (planes[first : first + each] @ beside).reshape(-1, height * number, columns.shape[1])
        torch.matmul(ahead, wide, out=summed[first : first + each])
    return summed.reshape(*x.shape[:-2], *summed.shape[1:])


def _fewest_terms(rows: Tensor, columns: Tensor) -> Terms:
    """The same map with as few terms as it has, by a singular value decomposition: neighbouring zooms are much alike."""
    down, down_shares = torch.linalg.qr(rows.flatten(1).mT)
    across, across_shares = torch.linalg.qr(columns.flatten(1).mT)
    left, sizes, right = torch.linalg.svd(down_shares @ across_shares.mT)
    kept = int((sizes > _NEGLIGIBLE * sizes[0]).sum())
    left, right = left[:, :kept] * sizes[:kept].sqrt(), right[:kept].mT * sizes[:kept].sqrt()
    return (down @ left).mT.reshape(kept, *rows.shape[1:]), (across @ right).mT.reshape(kept, *columns.shape[1:])


@functools.lru_cache(maxsize=32)
def _zoom_terms(height: int, width: int, factors: tuple[float, ...], whole_pixels: bool) -> Terms:
    matrix = _zoom_matrix if whole_pixels else _centred_zoom_matrix
    rows, columns = (torch.stack([matrix(size, factor) for factor in factors]) for size in (height, width))
    return _fewest_terms(rows / len(factors), columns)


@functools.lru_cache(maxsize=32)
def _kernel_terms(height: int, width: int, kernel: tuple[tuple[float, ...], ...]) -> Terms:
    weights = torch.tensor(kernel, dtype=torch.float64)
    down, across = _mirrored_shifts(height, len(kernel)), _mirrored_shifts(width, len(kernel))
    return _fewest_terms(down, torch.einsum("ab,bij->aij", weights, across))


def _mirrored_shifts(size: int, taps: int) -> Tensor:
    """(taps, size, size): one matrix a tap of a kernel, that reads the pixel under it."""
    sources = torch.arange(size) + torch.arange(taps)[:, None] - taps // 2
    sources = sources.abs()
    sources = torch.minimum(sources, 2 * (size - 1) - sources)
    return torch.nn.functional.one_hot(sources, size).double()


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
    # The very operations of Pillow, in its order: on ties a rounding of the last bit decides which box a pixel belongs to.
    scale = size / resized
    stretch = max(scale, 1.0)
    centres = ((torch.arange(resized, dtype=torch.float64) + 0.5) * scale)[:, None]
    pixels = torch.arange(size, dtype=torch.float64)
    first = (centres - 0.5 * stretch + 0.5).trunc().clamp_min(0)
    last = (centres + 0.5 * stretch + 0.5).trunc().clamp_max(size)
    distances = (pixels - centres + 0.5) * (1.0 / stretch)
    inside = ((pixels >= first) & (pixels < last) & (distances > -0.5) & (distances <= 0.5)).double()
    return inside / inside.sum(dim=1, keepdim=True)
