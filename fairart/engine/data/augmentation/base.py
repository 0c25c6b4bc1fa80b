"""The bases of augmentations: what changes the images of a training batch, and what mixes them with their labels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fairart.errors import OptionError
from fairart.plugins import origin

__all__ = ["Augmentation", "Mixing"]


class Augmentation:
    """Changes the images of a training batch, each by a draw of its own; subclasses write :meth:`images`.

    Everything random is drawn by :mod:`fairart.draws` from the generator that is handed in, one row a sample: then a run repeats
    with its seed, goes on exactly where it was stopped, and draws the same in one process as in several.
    """

    unit_range: ClassVar[bool] = False
    """Whether :meth:`images` wants values in [0, 1]; images with other clip values are then scaled to that and back."""
    leaves_range: ClassVar[bool] = False
    """Whether images may leave the range of the inputs, as with noise that is not clipped. Refused before parts that want
    values in [0, 1], and with objectives that attack within that range."""
    channels: ClassVar[tuple[int, ...] | None] = None
    """Numbers of channels that it takes; None for any."""

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Refuse samples that are no images, or have other channels.

        Args:
            input_shape: of one sample.

        Raises:
            OptionError: what is expected, and what came.
        """
        expected = "images (C, H, W)" + (
            "" if self.channels is None else f" with {' or '.join(map(str, self.channels))} channels"
        )
        if len(input_shape) != 3 or (self.channels is not None and input_shape[0] not in self.channels):
            raise OptionError(f"{origin(self)} expects {expected}, got samples of shape {input_shape}")

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change a batch.

        Args:
            x: (n, C, H, W) images; not to be changed in place.
            generator: random state on the device of ``x``.

        Returns:
            (n, C, H, W) images of the same type.
        """
        raise NotImplementedError


class Mixing(Augmentation):
    """Mixes every image of a batch with another one of it, and their labels alike; subclasses write :meth:`mixed`.

    It is always given the whole batch, in each of several processes.
    """

    def mixed(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mix a batch.

        Args:
            x: (n, C, H, W) images; not to be changed in place.
            generator: random state on the device of ``x``.

        Returns:
            (n, C, H, W) images; (n,) int64, the row of each one's partner; (n,) share of its own label, in [0, 1].
        """
        raise NotImplementedError
