"""Clouds: height maps by the diamond-square method, a batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart.corruptions.common import uniform

__all__ = ["plasma"]


def plasma(number: int, height: int, width: int, decay: float, *, like: Tensor, generator: torch.Generator) -> Tensor:
    """Random height maps that are smooth at large scale and rough at small scale.

    Each round halves the distance between known points and sets the middle of four to their mean, up to a random share of
    an amplitude. The map is periodic, and made on a square of a power of two, from which the corner is cut.

    Args:
        number: n.
        height: H in pixels.
        width: W in pixels.
        decay: the amplitude's root is divided by it every round; larger is smoother.
        like: gives type and device.
        generator: of the map.

    Returns:
        (n, 1, H, W) with values in [0, 1]; each whole square spans them.
    """
    side = 1 << (max(height, width) - 1).bit_length()
    heights = torch.zeros(number, side, side, dtype=torch.float64, device=like.device)
    step, root = side, 1.0
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + corners.roll(-1, dims=1)
        heights[:, half::step, half::step] = _middle(pairs + pairs.roll(-1, dims=2), root, generator)
        # Copies: the two kinds of edge points are set one after the other from the same corners and middles.
        corners, middles = heights[:, ::step, ::step].clone(), heights[:, half::step, half::step].clone()
        across = middles + middles.roll(1, dims=1) + corners + corners.roll(-1, dims=2)
        heights[:, ::step, half::step] = _middle(across, root, generator)
        along = middles + middles.roll(1, dims=2) + corners + corners.roll(-1, dims=1)
        heights[:, half::step, ::step] = _middle(along, root, generator)
        step, root = half, root / decay
    low, high = heights.amin(dim=(1, 2), keepdim=True), heights.amax(dim=(1, 2), keepdim=True)
    return ((heights - low) / (high - low)).to(like.dtype)[:, None, :height, :width]


def _middle(total: Tensor, root: float, generator: torch.Generator) -> Tensor:
    return total / 4 + root**2 * uniform(total.shape, -1, 1, total, generator)
