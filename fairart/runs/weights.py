"""The weights of a run as a safetensors file; a damaged or foreign file is rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import fairart
from fairart.datasets import Dataset
from fairart.files import replacing
from fairart.runs.folders import RunError

__all__ = ["WeightsAbout", "load_weights", "read_about", "read_scaling", "save_weights"]

FORMAT = "fairart.run"

Scaling = tuple[npt.NDArray[Any], npt.NDArray[Any]]


class WeightsAbout(NamedTuple):
    """What a file of weights says about itself: (C, H, W) of its images, names of its classes, and their scaling."""

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    scaling: Scaling


def save_weights(
    model: torch.nn.Module, data: Dataset, path: Path, *, scaling: Scaling | None = None, **about_model: Any
) -> None:
    """Write a model's weights with their data set's classes and scaling, through a temporary file.

    Args:
        model: the model whose state is written.
        data: the data set whose scaling and classes are stored with the weights.
        path: file.
        scaling: mean and standard deviation; None computes them from the training images.
        **about_model: further plain values to store.
    """
    # Clones, since safetensors refuses tensors that share memory.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    mean, std = data.mean_std() if scaling is None else scaling
    about = {
        "version": fairart.__version__,
        "mean": mean.tolist(),
        "std": std.tolist(),
        "classes": list(data.classes),
        "input_shape": list(data.input_shape),
        **about_model,
    }
    # One entry only: safetensors writes several in random order, and equal runs should be equal files.
    metadata = {FORMAT: json.dumps(about)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_about(path: Path) -> WeightsAbout:
    """What the weights were trained for; the weights themselves are not read.

    Args:
        path: what :func:`save_weights` wrote.

    Raises:
        RunError: a damaged or foreign file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged or not a safetensors file: {error}") from error
    if FORMAT not in metadata:
        raise RunError(f"{path} holds no weights of a fairart run")
    try:
        about = json.loads(metadata[FORMAT])
        mean, std = (np.array(about[name], dtype=np.float32) for name in ("mean", "std"))
        classes, shape = tuple(about["classes"]), tuple(about["input_shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    return WeightsAbout(shape, classes, (mean, std))


def read_scaling(path: Path, data: Dataset) -> Scaling:
    """Mean and deviation that the weights were trained with.

    Args:
        path: what :func:`save_weights` wrote.
        data: the data set as it is now.

    Raises:
        RunError: a damaged or foreign file, or weights for another data set.
    """
    shape, classes, scaling = read_about(path)
    if classes != data.classes or shape != data.input_shape:
        raise RunError(
            f"{path} was trained for {len(classes)} classes of images {shape}, but data set {data.name!r} now has "
            f"{data.nb_classes} classes of images {data.input_shape}, or other names"
        )
    return scaling


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Fill a model with the weights of a file.

    Raises:
        RunError: a damaged file, or weights of another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dictionary
        model.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{path} does not fit the model of the run: {detail[:300]}") from error
