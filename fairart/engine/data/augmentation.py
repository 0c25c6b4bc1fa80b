"""Augmentation of a whole batch at once, on the device it is on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from fairart import draws
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError

__all__ = ["AUGMENTATIONS", "Augmentation", "crop_and_flip", "get_augmentation"]

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""(n, C, H, W) images and a random state -> images of the same shape."""

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


AUGMENTATIONS: dict[str, Augmentation | None] = {"none": None, "crop-flip": crop_and_flip}
"""Augmentations by name."""


def get_augmentation(augmentation: str | Augmentation | None, input_shape: tuple[int, ...]) -> Augmentation | None:
    """Look an augmentation up.

    Args:
        augmentation: a name, a function, or None.
        input_shape: of one sample.

    Raises:
        OptionError: an unknown name, or crops for samples that are no (C, H, W) images.
    """
    if augmentation is None or callable(augmentation):
        return augmentation
    if augmentation not in AUGMENTATIONS:
        raise OptionError(f"there is no augmentation {augmentation!r}; {did_you_mean(augmentation, AUGMENTATIONS)}")
    if augmentation == "crop-flip" and len(input_shape) != 3:
        raise OptionError(f"augmentation 'crop-flip' expects images (C, H, W), got samples of shape {input_shape}")
    return AUGMENTATIONS[augmentation]
