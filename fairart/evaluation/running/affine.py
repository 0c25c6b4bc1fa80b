"""Images that are rotated, scaled or sheared by a degree, and the degrees that a curve has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor
from torchvision.transforms.v2 import functional
from torchvision.transforms.v2.functional import InterpolationMode

from fairart.did_you_mean import did_you_mean

__all__ = ["FAMILIES", "Affine", "Family", "check_affine", "moved"]

Affine = str | Sequence[str] | Mapping[str, Sequence[float] | None]
"""``"all"``, names of families, or name -> degrees; None for the family's own degrees."""


@dataclass(frozen=True)
class Family:
    """One kind of affine change.

    Args:
        unit: of its degrees.
        identity: the degree that changes nothing.
        degrees: of the curve by default.
        low: smallest degree.
        high: largest degree.
    """

    unit: str
    identity: float
    degrees: tuple[float, ...]
    low: float
    high: float


FAMILIES = {
    "rotation": Family("degrees, against the clock below 0", 0.0, (-45, -30, -15, 0, 15, 30, 45), -180, 180),
    "scale": Family("size over that of the image", 1.0, (0.6, 0.8, 0.9, 1, 1.1, 1.2, 1.4), 0.1, 10),
    "shear": Family("degrees, along the rows", 0.0, (-30, -20, -10, 0, 10, 20, 30), -80, 80),
}
"""Kinds of affine changes, about the centre of the image. What comes in from outside is black."""


def check_affine(affine: Affine | None, classifier: PyTorchClassifier) -> dict[str, tuple[float, ...]]:
    """Family -> degrees in ascending order, the identity among them.

    Args:
        affine: what the user gave; None for none.
        classifier: takes images (C, H, W) and has clip values.

    Raises:
        ValueError: no such family, degrees out of range, inputs that are no images, or no clip values.
    """
    if affine is None:
        return {}
    if isinstance(affine, str):
        affine = tuple(FAMILIES) if affine == "all" else (affine,)
    given = dict(affine) if isinstance(affine, Mapping) else dict.fromkeys(affine)
    for name in given:
        if name not in FAMILIES:
            raise ValueError(f"affine: there is no family {name!r}; {did_you_mean(str(name), FAMILIES)}")
    if given and (len(classifier.input_shape) != 3 or classifier.clip_values is None):
        raise ValueError("affine: expected a classifier of images (C, H, W) with clip_values, the lower of which is black")
    return {name: _degrees(name, degrees) for name, degrees in given.items()}


def _degrees(name: str, degrees: Sequence[float] | None) -> tuple[float, ...]:
    family = FAMILIES[name]
    chosen = family.degrees if degrees is None else tuple(degrees)
    good = [isinstance(one, int | float) and math.isfinite(one) and family.low <= one <= family.high for one in chosen]
    if not chosen or not all(good):
        raise ValueError(
            f"affine: degrees of {name!r} must be numbers from {family.low:g} to {family.high:g}, got {list(chosen)}"
        )
    return tuple(sorted({float(one) for one in chosen} | {family.identity}))


def moved(x: Tensor, family: str, degree: float, low: Tensor | float) -> Tensor:
    """Images (b, C, H, W) changed by one degree, bilinear; the identity gives the images themselves.

    Args:
        x: images in clip values.
        family: one of :data:`FAMILIES`.
        degree: in its unit.
        low: the clip value of black.
    """
    if degree == FAMILIES[family].identity:
        return x
    angle = degree if family == "rotation" else 0.0
    scale = degree if family == "scale" else 1.0
    shear = [degree if family == "shear" else 0.0, 0.0]
    # Black comes in from outside, whatever number stands for it.
    changed: Tensor = functional.affine(
        x - low, angle=angle, translate=[0, 0], scale=scale, shear=shear, interpolation=InterpolationMode.BILINEAR, fill=[0.0]
    )
    return torch.clamp(changed, min=0) + low
