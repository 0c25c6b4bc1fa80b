"""Draws the samples of a batch class by class, on the device and without reading anything back."""

from __future__ import annotations

import torch
from torch import Tensor

from fairart import draws

__all__ = ["ClassRows"]


class ClassRows:
    """The rows of every class, so that a sample can be drawn within its class.

    Args:
        y: (n,) labels in [0, K).
        nb_classes: K.
    """

    def __init__(self, y: Tensor, nb_classes: int) -> None:
        self._rows = torch.argsort(y, stable=True)
        self._counts = torch.bincount(y, minlength=nb_classes)
        self._first = self._counts.cumsum(0) - self._counts

    def draw(self, probabilities: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw a class for each place, with replacement, then one of its rows uniformly.

        Args:
            probabilities: (K,) float64 of the classes; 0 for those without rows.
            n: number of places.
            generator: random state on the device of the labels; a process's generator gives its own rows of the batch.

        Returns:
            (n,) rows.
        """
        uniform = draws.rand((n, 2), generator=generator, device=self._rows.device, dtype=torch.float64)
        steps = probabilities.cumsum(0)
        # The first class whose step lies above the number: one of probability 0 has no step of its own.
        classes = torch.searchsorted(steps / steps[-1], uniform[:, 0].contiguous(), right=True)
        within = (uniform[:, 1] * self._counts[classes]).long()
        return self._rows[self._first[classes] + torch.minimum(within, self._counts[classes] - 1)]
