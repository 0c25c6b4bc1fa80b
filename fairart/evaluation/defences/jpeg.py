"""JPEG compression, by ART and Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import PIL
from art.defences.preprocessor import JpegCompression
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.corruptions.jpeg import smooth_jpeg_round_trip
from fairart.errors import OptionError
from fairart.evaluation.defences.base import ArtDefence, image_shape
from fairart.plugins.options import Option

__all__ = ["JpegDefence"]

LONGEST = 65500
"""Pixels of a side that Pillow's JPEG coder takes."""


class JpegDefence(ArtDefence):
    """Compress and decompress as JPEG (Dziugaite et al., 2016; Das et al., 2017), by ART's ``JpegCompression``.

    Images with three channels are stored in colour, with chroma at half the resolution; any other number of channels is stored
    channel by channel. The gradient goes through a JPEG compression whose rounding is smooth: the identity hides how much the
    compression takes away, and at low quality an attack through it seems to be withstood.

    Args:
        quality: 1 (worst) to 100; ART's default.
    """

    stand_in_name: ClassVar[str] = "JPEG with smooth rounding"

    def __init__(self, *, quality: Annotated[int, Option("1 (smallest file) to 100", low=1, high=100)] = 50) -> None:
        super().__init__(JpegCompression(clip_values=(0.0, 1.0), quality=quality, channels_first=True))
        self.quality = quality

    def stand_in(self, x: Tensor) -> Tensor:
        """The compression with smooth rounding of its coefficients."""
        return smooth_jpeg_round_trip(255 * x, self.quality) / 255

    def check(self, classifier: PyTorchClassifier) -> Mapping[str, Any]:
        """Refuse what is no image, and say which coder it is."""
        channels, height, width = image_shape("jpeg", classifier)
        if max(height, width) > LONGEST:
            raise OptionError(f"defence 'jpeg' takes images of at most {LONGEST} pixels a side, got {height} x {width}")
        mode = "in colour" if channels == 3 else "channel by channel, as grey images"
        return {"coder": f"Pillow {PIL.__version__}", "stored": mode}
