"""Weights that a run starts from."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

__all__ = ["read_weights"]


def read_weights(path: str | os.PathLike[str], module: nn.Module) -> dict[str, torch.Tensor]:
    """Read weights and check that they are the module's.

    Args:
        path: a safetensors file, ``model.safetensors`` of a run for example.
        module: whose names and shapes they must have.

    Raises:
        ValueError: no such file, no safetensors, or names or shapes that differ; the first ones are named.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"warm_start: there is no file {file}")
    try:
        weights: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"warm_start: {file} is no whole safetensors file: {error}") from error
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        first = wrong[0]
        raise ValueError(
            f"warm_start: {file} holds the weights of another model: {len(wrong)} names or shapes differ, first {first!r}: "
            f"expected {expected.get(first, 'nothing')}, found {found.get(first, 'nothing')}"
        )
    return weights
