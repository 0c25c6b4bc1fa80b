"""Random crops and flips of a whole batch at once, on the device it is on."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation
from fairart.plugins.options import Option

__all__ = ["CropFlip", "crop_and_flip"]

PADDING = 4


def crop_and_flip(x: Tensor, generator: torch.Generator, *, padding: int = PADDING) -> Tensor:
    """Random crop after reflect padding, and random horizontal flip, each sample by itself.

    Args:
        x: (n, C, H, W) images.
        generator: random state on the device of ``x``.
        padding: pixels added on each side; at most side - 1, smaller images get what fits.

    Returns:
        (n, C, H, W) augmented images.
    """
    n, _, height, width = x.shape
    pad = min(padding, height - 1, width - 1)
    padded = F.pad(x, (pad, pad, pad, pad), mode="reflect")

    def draw(high: int) -> Tensor:
        return draws.randint(high, (n, 1), generator=generator, device=x.device)

    rows = draw(2 * pad + 1) + torch.arange(height, device=x.device)
    columns = draw(2 * pad + 1) + torch.arange(width, device=x.device)
    columns = torch.where(draw(2).bool(), columns.flip(1), columns)
    samples = torch.arange(n, device=x.device)[:, None, None]
    # Index tensors on both sides of the channel slice put the channels last.
    return padded[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


class CropFlip(Augmentation):
    """Random crop after reflect padding, and random horizontal flip.

    Args:
        padding: pixels added on each side before the crop.
    """

    def __init__(self, *, padding: Annotated[int, Option("pixels added on each side before the crop", low=0)] = PADDING) -> None:
        self.padding = padding

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Crops and flips."""
        return crop_and_flip(x, generator, padding=self.padding)
