"""Weights that a training starts from."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path

import torch

from fairart.engine.network import Network
from fairart.errors import WeightsError
from fairart.models.weights import load_weights

__all__ = ["read_weights"]

APART = 0.05
"""Difference of two normalisations, in standard deviations and as a share of them, from which there is a warning: subsets of one
data set differ by less."""

OF_A_RUN = "model.safetensors"
"""File of the weights in the folder of a run."""


def read_weights(path: str | os.PathLike[str], network: Network) -> dict[str, torch.Tensor]:
    """Read weights and check that they are the module's.

    Args:
        path: folder of a run, or a weight file in any layout that :func:`fairart.models.load_weights` reads.
        network: the model that they are for, with its preprocessing; it is not changed. A warning says if the file names another
            normalisation.

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
    filled = copy.deepcopy(network.module)
    try:
        loaded = load_weights(filled, place)
    except WeightsError as error:
        raise WeightsError(f"warm_start: {error}") from error
    if loaded.normalization is not None:
        _compare(loaded.normalization, network, place)
    return {name: value.detach().clone() for name, value in filled.state_dict().items()}


def _compare(stated: tuple[torch.Tensor, torch.Tensor], network: Network, place: Path) -> None:
    ours = network.standardisation or (torch.zeros(1), torch.ones(1))
    mean, std, own_mean, own_std = (value.detach().cpu().double() for value in (*stated, *ours))
    apart = max(float(((mean - own_mean) / own_std).abs().max()), float((std / own_std - 1).abs().max()))
    if apart > APART:
        warnings.warn(
            f"warm_start: {place} was trained with mean {_shown(mean)} and std {_shown(std)}, the classifier's preprocessing has "
            f"mean {_shown(own_mean)} and std {_shown(own_std)}: the weights start with another normalisation",
            UserWarning,
            stacklevel=4,
        )


def _shown(values: torch.Tensor) -> str:
    return " ".join(f"{value:.4g}" for value in values.tolist())
