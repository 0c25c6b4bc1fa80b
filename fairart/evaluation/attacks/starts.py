"""Starts of decision-based attacks: random images that the model already misclassifies, drawn from the sample's own stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fairart.evaluation.attacks.unit import UnitNetwork

__all__ = ["adversarial_starts"]

CELLS = (None, 2, 4, 1, 3, 8)
"""Sizes of the grids of random values, used in turn: one value per feature, or this many cells along each side of the image."""


def adversarial_starts(
    unit: UnitNetwork, shape: tuple[int, ...], labels: Tensor, seeds: list[int], *, init_size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Random images that the model does not assign to the sample's class.

    Models often predict one or two classes for all pixel noise. A sample of these classes would have no start, and would count
    as robust without an attack. So every second draw is coarse noise, from a few random cells to one uniform shade.

    Args:
        unit: the network, of inputs between 0 and 1.
        shape: of one input.
        labels: (n,) labels.
        seeds: one a sample.
        init_size: draws for each sample, >= 1.

    Returns:
        (n, *shape) starts between 0 and 1, and (n,) whether one was found.
    """
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    starts, found = torch.zeros((len(seeds), *shape)), torch.zeros(len(seeds), dtype=torch.bool)
    for turn in range(init_size):
        missing = (~found).nonzero()[:, 0]
        if not len(missing):
            break
        cells = CELLS[turn // 2 % len(CELLS)] if turn % 2 else None
        drawn = torch.stack([_noise(streams[i], shape, cells) for i in missing.tolist()])
        with torch.no_grad():
            wrong = (unit(drawn.to(labels.device)).argmax(dim=1) != labels[missing.to(labels.device)]).cpu()
        starts[missing[wrong]] = drawn[wrong]
        found[missing[wrong]] = True
    return starts.numpy(), found.numpy()


def _noise(stream: torch.Generator, shape: tuple[int, ...], cells: int | None) -> Tensor:
    if cells is None or len(shape) != 3:
        return torch.rand(shape, generator=stream)
    channels, height, width = shape
    coarse = torch.rand((1, channels, min(cells, height), min(cells, width)), generator=stream)
    return F.interpolate(coarse, size=(height, width), mode="nearest")[0]
