"""Gaussian noise on training images: what randomised smoothing asks of a model."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation
from fairart.plugins.options import Option

__all__ = ["GaussianNoise", "Sigma"]

Sigma = Annotated[
    float,
    Option(
        "standard deviation of the noise, in the classifier's own input units", low=0, low_open=True, source="Cohen et al. 0.25"
    ),
]


class GaussianNoise(Augmentation):
    """Adds Gaussian noise to every image, not clipped: training for randomised smoothing (Cohen, Rosenfeld, Kolter, ICML 2019).

    Put it last, and certify with the same sigma.

    Args:
        sigma: standard deviation, in the classifier's own input units (0.25 of 0..1, 64 of 0..255).
    """

    leaves_range: ClassVar[bool] = True

    def __init__(self, *, sigma: Sigma = 0.25) -> None:
        self.sigma = sigma

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Takes samples of any shape."""

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The images with noise."""
        return x + self.sigma * draws.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
