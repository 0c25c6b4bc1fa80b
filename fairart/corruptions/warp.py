"""Images moved by a map: where each output pixel comes from, read bilinearly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["affine_places", "pixel_places", "read_at"]


def pixel_places(height: int, width: int, like: Tensor) -> Tensor:
    """The pixels themselves: (H, W, 2) with x (column) first, as :func:`read_at` takes them."""
    rows = torch.arange(height, dtype=like.dtype, device=like.device)
    columns = torch.arange(width, dtype=like.dtype, device=like.device)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)


def affine_places(matrix: Tensor, height: int, width: int) -> Tensor:
    """Where pixels come from under an affine or projective map.

    Args:
        matrix: (n, 3, 3), takes the homogeneous place (x, y, 1) of an output pixel to its source.
        height: H in pixels.
        width: W in pixels.

    Returns:
        (n, H, W, 2), x first, in pixels.
    """
    places = pixel_places(height, width, matrix)
    homogeneous = torch.cat([places, torch.ones_like(places[..., :1])], dim=-1)
    mapped = torch.einsum("nij,hwj->nhwi", matrix, homogeneous)
    return mapped[..., :2] / mapped[..., 2:]


def read_at(x: Tensor, places: Tensor, *, border: str) -> Tensor:
    """Read images between their pixels.

    Args:
        x: (n, C, H, W).
        places: (n, H', W', 2), x first, in pixels; (0, 0) is the centre of the upper left pixel.
        border: what lies outside: ``"zeros"``; ``"clamp"``, the border repeated; ``"mirror"``, mirrored at the outermost
            pixels' centres; ``"reflect"``, mirrored at their outer edges.
    """
    modes = {
        "zeros": ("zeros", True),
        "clamp": ("border", True),
        "mirror": ("reflection", True),
        "reflect": ("reflection", False),
    }
    padding, aligned = modes[border]
    size = places.new_tensor([x.shape[3], x.shape[2]])
    # grid_sample counts from -1 to 1, either over the centres or over the edges of the pixels.
    grid = places * 2 / (size - 1) - 1 if aligned else (places * 2 + 1) / size - 1
    return functional.grid_sample(x, grid.to(x.dtype), mode="bilinear", padding_mode=padding, align_corners=aligned)
