"""Input defences, one a file, registered as kind ``defence``: what is done to an image before the model sees it.

They are measured twice, as an attacker who does not know of the defence and as one who does; see
:mod:`fairart.evaluation.running.defending`.
"""

from __future__ import annotations

from fairart.evaluation.defences.base import ArtDefence, Defence, image_shape
from fairart.evaluation.defences.feature_squeezing import FeatureSqueezingDefence
from fairart.evaluation.defences.jpeg import JpegDefence
from fairart.evaluation.defences.network import DefendedNetwork
from fairart.evaluation.defences.spatial_smoothing import SpatialSmoothingDefence
from fairart.evaluation.defences.total_variation import TotalVariationDefence

__all__ = [
    "ArtDefence",
    "Defence",
    "DefendedNetwork",
    "FeatureSqueezingDefence",
    "JpegDefence",
    "SpatialSmoothingDefence",
    "TotalVariationDefence",
    "image_shape",
]
