"""Augmentation of a whole batch at once, on the device it is on; each sample has draws of its own."""

from __future__ import annotations

from fairart.engine.data.augmentation.base import Augmentation, Mixing
from fairart.engine.data.augmentation.chain import AnyAugmentation, AugmentationChain, ImageFunction, make_augmentation
from fairart.engine.data.augmentation.crop_flip import CropFlip, crop_and_flip
from fairart.engine.data.augmentation.each_sample import EachSample

__all__ = [
    "AnyAugmentation",
    "Augmentation",
    "AugmentationChain",
    "CropFlip",
    "EachSample",
    "ImageFunction",
    "Mixing",
    "crop_and_flip",
    "make_augmentation",
]
