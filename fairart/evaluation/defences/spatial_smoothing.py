"""A median filter, by ART."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from art.defences.preprocessor import SpatialSmoothing
from art.estimators.classification import PyTorchClassifier
from torch import Tensor
from torch.nn import functional

from fairart.evaluation.defences.base import ArtDefence, image_shape
from fairart.plugins.options import Option

__all__ = ["SpatialSmoothingDefence"]


class SpatialSmoothingDefence(ArtDefence):
    """Replace every pixel by the median of the window around it (Xu et al., NDSS 2018), by ART's ``SpatialSmoothing``.

    Args:
        window_size: pixels a side, ART's default.
    """

    stand_in_name: ClassVar[str] = "mean of the middle third of the window"

    def __init__(self, *, window_size: Annotated[int, Option("pixels a side of the window", low=1)] = 3) -> None:
        super().__init__(SpatialSmoothing(window_size=window_size, channels_first=True, clip_values=(0.0, 1.0)))
        self.window_size = window_size

    def check(self, classifier: PyTorchClassifier) -> Mapping[str, Any]:
        """Refuse what is no image."""
        image_shape("spatial-smoothing", classifier)
        return {}

    def stand_in(self, x: Tensor) -> Tensor:
        """The mean of the values around the median.

        The median itself has the gradient of one pixel alone: each step of an attack moves a few pixels. Of identity, mean of the
        window, median and this one, it was this with which PGD fooled most images (Fashion-MNIST, windows of 3 and 5).
        """
        size, (number, channels, height, width) = self.window_size, x.shape
        before = size // 2
        after = size - 1 - before
        padded = functional.pad(x, (before, after, before, after), mode="replicate")
        windows = functional.unfold(padded, size).view(number, channels, size**2, height, width)
        middle, beside = size**2 // 2, size**2 // 6
        return windows.sort(dim=2).values[:, :, middle - beside : middle + beside + 1].mean(dim=2)
