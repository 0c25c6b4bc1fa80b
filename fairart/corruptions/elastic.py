"""Elastic transform (Hendrycks & Dietterich, ICLR 2019; Simard et al., 2003), at the parameters of CIFAR-10-C."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart.corruptions.common import finish, level, start, uniform
from fairart.corruptions.linear import gaussian_filter
from fairart.corruptions.warp import affine_places, pixel_places, read_at

__all__ = ["elastic_transform"]

# length of the displacements, their smoothing, shift of the corners: all in image sides
_ELASTIC = ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))


def elastic_transform(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Stretch the image as a rubber sheet: a random affine map, then smooth random displacements.

    Args:
        x: (n, C, H, W) in [0, 1]; the shorter side is the unit.
        severity: 1 to 5; severity 1 is the affine map alone, so change does not grow with every severity.
        generator: of the map.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    length, smoothing, shift = (min(images.shape[2:]) * share for share in level(_ELASTIC, severity))
    images = _random_affine(images, shift, generator)
    if length > 0:
        images = _displace(images, length, smoothing, generator)
    return finish(images, x)


def _random_affine(images: Tensor, shift: float, generator: torch.Generator) -> Tensor:
    """Move three corners of the middle third by up to ``shift`` pixels in each direction."""
    number, _, height, width = images.shape
    reach = min(height, width) // 3
    middle = images.new_tensor([width // 2, height // 2])
    corners = middle + images.new_tensor([[reach, reach], [reach, -reach], [-reach, -reach]])
    moved = corners + uniform((number, 3, 2), -shift, shift, images, generator)
    # Rows of homogeneous places: moved @ inverse = corners gives the way back, from output to source.
    ones = images.new_ones(number, 3, 1)
    targets = torch.cat([corners.expand(number, 3, 2), ones], dim=-1).double()
    inverse = torch.linalg.solve(torch.cat([moved, ones], dim=-1).double(), targets).mT
    return read_at(images, affine_places(inverse, height, width), border="mirror")


def _displace(images: Tensor, length: float, smoothing: float, generator: torch.Generator) -> Tensor:
    number, _, height, width = images.shape
    field = uniform((number, 2, height, width), -1, 1, images, generator)
    field = length * gaussian_filter(field, smoothing, mode="reflect", truncate=3)
    places = pixel_places(height, width, images) + field.permute(0, 2, 3, 1)
    return read_at(images, places, border="reflect")
