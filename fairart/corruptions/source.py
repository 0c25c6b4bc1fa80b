"""What made corruptions and folders of them have in common: images by position, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["ImageSource", "check_asked_for", "in_batches"]


class ImageSource(Protocol):
    """Corrupted images, given by corruption, severity and position."""

    names: tuple[str, ...]
    severities: tuple[int, ...]
    labels: npt.NDArray[np.int64]

    def images(self, name: str, severity: int, first: int, stop: int) -> Tensor:
        """(stop - first, C, H, W) in [0, 1], on the device."""
        ...


def check_asked_for(source: ImageSource, name: str, severity: int) -> None:
    """Refuse a corruption or severity that a source does not have.

    Args:
        source: of the images.
        name: of the corruption.
        severity: 1 to 5.

    Raises:
        ValueError: it was not asked for.
    """
    if name not in source.names or severity not in source.severities:
        raise ValueError(f"{name} at severity {severity} was not asked for")


def in_batches(source: ImageSource, name: str, severity: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All images of one corruption and severity with their classes, a batch at a time.

    Args:
        source: of the images.
        name: of the corruption.
        severity: one of its severities.
        batch_size: images a batch.

    Raises:
        ValueError: a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    labels = torch.from_numpy(source.labels)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, len(labels), batch_size):
            images = source.images(name, severity, first, min(first + batch_size, len(labels)))
            yield images, labels[first : first + len(images)].to(images.device)

    return batches()
