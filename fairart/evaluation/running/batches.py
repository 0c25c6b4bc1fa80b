"""Rows of an array as a batch that the network takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.datasets.stored import Images
from fairart.engine.data import uint8_divisor
from fairart.evaluation.attacks import AttackTarget

__all__ = ["input_batch"]


def input_batch(target: AttackTarget, x: Images, indices: npt.NDArray[np.int64]) -> Tensor:
    """Some samples on the network's device, in its number format and in clip values.

    Args:
        target: the model.
        x: (n, *input_shape) float32 in clip values, or uint8; checked.
        indices: (b,) rows.

    Returns:
        (b, *input_shape).
    """
    network = target.network
    batch = torch.as_tensor(x[indices], device=network.device)
    if batch.dtype == torch.uint8:
        # Dividing by 255 gives the very numbers that x / 255 gives; multiplying by 1 / 255 does not, and can pass 1.
        return batch.to(network.dtype) / uint8_divisor(target.classifier)
    return batch.to(network.dtype)
