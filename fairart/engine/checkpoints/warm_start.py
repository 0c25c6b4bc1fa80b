"""Weights that a training starts from."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch
from torch import nn

from fairart.errors import WeightsError
from fairart.models.weights import load_weights

__all__ = ["read_weights"]

OF_A_RUN = "model.safetensors"
"""File of the weights in the folder of a run."""


def read_weights(path: str | os.PathLike[str], module: nn.Module) -> dict[str, torch.Tensor]:
    """Read weights and check that they are the module's.

    Args:
        path: folder of a run, or a weight file in any layout that :func:`fairart.models.load_weights` reads.
        module: the model that they are for; it is not changed.

    Returns:
        The state of the module with these weights.

    Raises:
        WeightsError: no such file, a file that cannot be read, or weights of another model; the message names what differs.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        place = place / OF_A_RUN
        if not place.is_file():
            raise WeightsError(f"warm_start: {path} is not a run whose training is finished: it has no {OF_A_RUN}")
    filled = copy.deepcopy(module)
    try:
        load_weights(filled, place)
    except WeightsError as error:
        raise WeightsError(f"warm_start: {error}") from error
    return {name: value.detach().clone() for name, value in filled.state_dict().items()}
