"""Fewer bits a value, by ART."""

from __future__ import annotations

from typing import Annotated

from art.defences.preprocessor import FeatureSqueezing

from fairart.evaluation.defences.base import ArtDefence
from fairart.plugins.options import Option

__all__ = ["FeatureSqueezingDefence"]


class FeatureSqueezingDefence(ArtDefence):
    """Round every value to a few bits (Xu et al., NDSS 2018), by ART's ``FeatureSqueezing``.

    The gradient goes through the identity. A smoother stairway in its place changes nothing: its slope is positive for every
    value alone, and steps in L-inf follow the sign.

    Args:
        bit_depth: bits a value. ART's own default, 8, leaves images of 8 bits as they are; the paper takes 1 to 5.
    """

    def __init__(self, *, bit_depth: Annotated[int, Option("bits a value", low=1, high=16)] = 4) -> None:
        super().__init__(FeatureSqueezing(clip_values=(0.0, 1.0), bit_depth=bit_depth))
