"""The operations of RandAugment and its kind, batched: every image has its own operation and its own magnitude.

torchvision applies one draw to a whole batch. Here the geometric operations are one affine grid with a matrix for each image; the
others blend an image with what torchvision's kernel makes of it, by a factor for each image. Nothing is read from the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as kernels

__all__ = ["GEOMETRIC", "OPERATIONS", "Interpolation", "apply_operations"]

Interpolation = Literal["nearest", "bilinear"]

GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
"""Operations that move pixels; black comes in from outside."""


def apply_operations(
    x: Tensor, names: Sequence[str], chosen: Tensor, magnitudes: Tensor, *, interpolation: Interpolation = "nearest"
) -> Tensor:
    """Apply one operation to each image.

    Args:
        x: (n, C, H, W) images in [0, 1], C 1 or 3.
        names: operations to choose among: identity, one of ``GEOMETRIC``, or one of ``OPERATIONS``.
        chosen: (n,) int64, the place of each image's operation in ``names``.
        magnitudes: (n,) signed strength of each: a slope, pixels, degrees, factor less 1, bits, or a threshold.
        interpolation: of the geometric operations.

    Returns:
        (n, C, H, W) images in [0, 1].
    """
    result = x
    if any(name in GEOMETRIC for name in names):
        matrices = _matrices(x, names, chosen, magnitudes)
        here = _is_any(chosen, names, GEOMETRIC)
        result = _where(here, x, result, matrices, lambda images, own: _affine(images, own, interpolation))
    strength = magnitudes.to(x.dtype).view(-1, 1, 1, 1)
    for name, operation in OPERATIONS.items():
        if name in names:
            result = _where(_is_any(chosen, names, (name,)), x, result, strength, operation)
    return result


def _is_any(chosen: Tensor, names: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """(n,) bool, which images have one of some operations."""
    found = torch.zeros_like(chosen, dtype=torch.bool)
    for place, name in enumerate(names):
        if name in wanted:
            found = found | (chosen == place)
    return found


def _where(here: Tensor, x: Tensor, result: Tensor, own: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``result`` with the images of some rows replaced by what the operation makes of ``x`` there."""
    if x.device.type != "cpu":
        return torch.where(here.view(-1, 1, 1, 1), operation(x, own), result)
    # On the CPU, asking which rows these are waits for nothing, and the others need not be computed.
    rows = here.nonzero()[:, 0]
    return result.index_copy(0, rows, operation(x[rows], own[rows])) if len(rows) else result


def _matrices(x: Tensor, names: Sequence[str], chosen: Tensor, magnitudes: Tensor) -> Tensor:
    """(n, 2, 3) matrices from a pixel of the result to one of the image, measured from the centre; as torchvision's."""
    height, width = x.shape[2:]
    # Half and double precision alike: a grid in half would miss pixels.
    m = magnitudes.to(torch.promote_types(x.dtype, torch.float32))
    zero, one = torch.zeros_like(m), torch.ones_like(m)
    angle = torch.deg2rad(m)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows: dict[str, tuple[Tensor, ...]] = {
        # Sheared about the upper left corner.
        "shear-x": (one, m, m * (height * 0.5), zero, one, zero),
        "shear-y": (one, zero, zero, m, one, m * (width * 0.5)),
        "translate-x": (one, zero, -m.trunc(), zero, one, zero),
        "translate-y": (one, zero, zero, zero, one, -m.trunc()),
        "rotate": (cosine, -sine, zero, sine, cosine, zero),
    }
    matrices = torch.stack((one, zero, zero, zero, one, zero), dim=1)
    for place, name in enumerate(names):
        if name in rows:
            matrices = torch.where((chosen == place)[:, None], torch.stack(rows[name], dim=1), matrices)
    return matrices.view(-1, 2, 3)


def _affine(x: Tensor, matrices: Tensor, interpolation: Interpolation) -> Tensor:
    height, width = x.shape[2:]

    def positions(side: int) -> Tensor:
        return torch.arange(side, device=x.device, dtype=matrices.dtype) + (0.5 - side * 0.5)

    down, across = torch.meshgrid(positions(height), positions(width), indexing="ij")
    pixels = torch.stack((across, down, torch.ones_like(down)), dim=-1)
    moved = torch.einsum("hwk,njk->nhwj", pixels, matrices)
    grid = torch.stack((moved[..., 0] / (width * 0.5), moved[..., 1] / (height * 0.5)), dim=-1)
    images = x.to(grid.dtype)
    return F.grid_sample(images, grid, mode=interpolation, padding_mode="zeros", align_corners=False).to(x.dtype)


def _blended(degenerate: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """An operation between what it is at factor 0 and the image itself at factor 1, and beyond."""

    def operation(x: Tensor, magnitude: Tensor) -> Tensor:
        return torch.lerp(degenerate(x), x, 1 + magnitude).clamp_(0, 1)

    return operation


def _grey(x: Tensor) -> Tensor:
    return x if x.shape[1] == 1 else kernels.adjust_saturation(x, 0.0)


def _blurred(x: Tensor) -> Tensor:
    """The weighted mean of 3 x 3 pixels, the edge left as it is; torchvision's kernel, made without a copy to the device."""
    channels, height, width = x.shape[1:]
    if height <= 2 or width <= 2:
        return x
    kernel = torch.full((channels, 1, 3, 3), 1 / 13, device=x.device, dtype=x.dtype)
    kernel[:, :, 1, 1] = 5 / 13
    result = x.clone()
    result[:, :, 1:-1, 1:-1] = F.conv2d(x, kernel, groups=channels)
    return result


def _posterized(x: Tensor, bits: Tensor) -> Tensor:
    levels = torch.exp2(bits)
    return (x * levels).floor().clamp_max(levels - 1) / levels


def _solarized(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(x >= threshold, 1 - x, x)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _blended(torch.zeros_like),
    "colour": _blended(_grey),
    "contrast": _blended(lambda x: kernels.adjust_contrast(x, 0.0)),
    "sharpness": _blended(_blurred),
    "posterize": _posterized,
    "solarize": _solarized,
    "autocontrast": lambda x, _: kernels.autocontrast(x),
    "equalize": lambda x, _: kernels.equalize(x),
}
"""Operations on values: images (n, C, H, W) and strengths (n, 1, 1, 1) -> images."""
