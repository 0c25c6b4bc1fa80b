"""An ART classifier of anybody's model and weights, ready to be evaluated and trained further."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.errors import OptionError, WeightsError
from fairart.models.building import build_model, model_options_of
from fairart.models.normalization import (
    TRIAL_IMAGES,
    Normalization,
    NormalizationTrial,
    candidates_for,
    choose_normalization,
    parse_normalization,
)
from fairart.models.weights import LoadedWeights, load_weights
from fairart.models.weights.normalization_buffers import normalization_of_module
from fairart.models.zoos.common import NORMALIZATION

__all__ = ["LoadedClassifier", "load_classifier", "load_with_report"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedClassifier:
    """A classifier, and what is known of where it came from.

    Args:
        classifier: the ART classifier; its preprocessing normalises, unless the model does so itself.
        weights: what was loaded from the file; None without one.
        normalization: what the preprocessing applies; None where the model normalises itself.
        trial: figures of the choice, where one was made by trial.
        notes: the same in sentences.
    """

    classifier: PyTorchClassifier
    weights: LoadedWeights | None
    normalization: Normalization | None
    trial: NormalizationTrial | None
    notes: tuple[str, ...]


def load_classifier(
    model: str | nn.Module,
    weights: str | os.PathLike[str] | None = None,
    *,
    input_shape: Sequence[int],
    nb_classes: int,
    normalization: str | tuple[Sequence[float], Sequence[float]] = "auto",
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    dataset: str | None = None,
    model_options: Mapping[str, Any] | None = None,
    weights_key: str | None = None,
    weights_index: int | None = None,
    weights_prefix: str | None = None,
    strict: bool = True,
    clip_values: tuple[float, float] = (0.0, 1.0),
    optimizer: torch.optim.Optimizer | None = None,
    device: str = "auto",
) -> PyTorchClassifier:
    """Make an ART ``PyTorchClassifier`` of a model and a weight file, for :func:`fairart.evaluation.evaluate` and every trainer.

    Args:
        model: a module, or what :func:`fairart.models.building.build_model` takes: a registered name, ``zoo:NAME``,
            ``module:callable``, ``file.py:callable``.
        weights: a weight file in any layout; None keeps the model's own weights.
        input_shape: (C, H, W).
        nb_classes: K.
        normalization: ``"none"``, ``"dataset"``, a published name, ``"MEAN:STD"``, or ``(mean, std)``. ``"auto"``: what the
            model or the file says; else what a trial on ``data`` shows clearly.
        data: (images in clip values, labels) for the trial; training images, or test images if there are no others.
        dataset: name of the data set, whose published constants are candidates.
        model_options: further arguments of the model.
        weights_key: where the state dict stands in the file, where several fit.
        weights_index: position in a list of state dicts.
        weights_prefix: what to take off the names of the file.
        strict: whether every tensor must find its counterpart.
        clip_values: range of the images.
        optimizer: over the model's parameters, for training; None takes SGD with learning rate 0.01, which trainers may replace.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        WeightsError: a file that cannot be loaded, or a normalisation that is not known and not clear from a trial.
        UnknownNameError: no such model.
        OptionError: an argument that the model does not take, or a device that is not there.
    """
    return load_with_report(
        model,
        weights,
        input_shape=input_shape,
        nb_classes=nb_classes,
        normalization=normalization,
        data=data,
        dataset=dataset,
        model_options=model_options,
        weights_key=weights_key,
        weights_index=weights_index,
        weights_prefix=weights_prefix,
        strict=strict,
        clip_values=clip_values,
        optimizer=optimizer,
        device=device,
    ).classifier


def load_with_report(
    model: str | nn.Module,
    weights: str | os.PathLike[str] | None = None,
    *,
    input_shape: Sequence[int],
    nb_classes: int,
    normalization: str | tuple[Sequence[float], Sequence[float]] = "auto",
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    dataset: str | None = None,
    model_options: Mapping[str, Any] | None = None,
    weights_key: str | None = None,
    weights_index: int | None = None,
    weights_prefix: str | None = None,
    strict: bool = True,
    clip_values: tuple[float, float] = (0.0, 1.0),
    optimizer: torch.optim.Optimizer | None = None,
    device: str = "auto",
) -> LoadedClassifier:
    """:func:`load_classifier`, with what was found out on the way."""
    on_cuda = _on_cuda(device)
    made = (
        model
        if isinstance(model, nn.Module)
        else build_model(
            model,
            input_shape=input_shape,
            nb_classes=nb_classes,
            options=_with_source(model, model_options or {}, dataset, from_file=weights is not None),
        )
    )
    loaded = None
    if weights is not None:
        loaded = load_weights(made, weights, key=weights_key, index=weights_index, prefix=weights_prefix, strict=strict)
    made.to("cuda" if on_cuda else "cpu").eval()
    chosen, trial, note = _normalization(made, loaded, normalization, data, dataset, int(input_shape[0]), clip_values)
    classifier = PyTorchClassifier(
        model=made,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer or _optimizer(made),
        input_shape=tuple(int(side) for side in input_shape),
        nb_classes=nb_classes,
        clip_values=clip_values,
        preprocessing=_preprocessing(chosen, clip_values),
        device_type="gpu" if on_cuda else "cpu",
    )
    notes = (*(() if loaded is None else loaded.notes), note)
    return LoadedClassifier(classifier=classifier, weights=loaded, normalization=chosen, trial=trial, notes=notes)


def _with_source(model: str, options: Mapping[str, Any], dataset: str | None, *, from_file: bool) -> dict[str, Any]:
    """The options of a model, with what a zoo needs: its data set, and whether to load weights of its own."""
    known = model_options_of(model)
    if known is None:
        return dict(options)
    source = {"pretrained": not from_file, "dataset": (dataset or "").partition(":")[0].partition(" ")[0]}
    return {**{name: value for name, value in source.items() if name in known and value != ""}, **options}


def _on_cuda(device: str) -> bool:
    if device not in ("auto", "cpu", "cuda"):
        raise OptionError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise OptionError("device 'cuda': torch finds no CUDA device; use 'cpu' or 'auto'")
    return available and device != "cpu"


def _optimizer(model: nn.Module) -> torch.optim.Optimizer | None:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9) if parameters else None


def _preprocessing(chosen: Normalization | None, clip_values: tuple[float, float]) -> tuple[Array, Array] | None:
    if chosen is None or (not any(chosen.mean) and set(chosen.std) == {1.0}):
        return None
    low, high = clip_values
    scale = np.float32(high - low)
    return np.asarray(chosen.mean, dtype=np.float32) * scale + np.float32(low), np.asarray(chosen.std, dtype=np.float32) * scale


def _normalization(
    model: nn.Module,
    loaded: LoadedWeights | None,
    wanted: str | tuple[Sequence[float], Sequence[float]],
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    dataset: str | None,
    channels: int,
    clip_values: tuple[float, float],
) -> tuple[Normalization | None, NormalizationTrial | None, str]:
    itself = normalization_of_module(model)
    if itself is not None:
        if wanted != "auto" and wanted != "none":
            raise WeightsError(
                f"the model normalises its input itself ({itself.mean_key}): expected 'auto' or 'none', got {wanted!r}"
            )
        return None, None, f"no preprocessing: the model normalises its input itself ({itself.mean_key})"
    if not isinstance(wanted, str):
        mean, std = (tuple(float(value) for value in np.ravel(values)) for values in wanted)
        wanted = f"{','.join(map(repr, mean))}:{','.join(map(repr, std))}"
    if wanted != "auto":
        chosen = parse_normalization(wanted, dataset, channels)
        return chosen, None, f"normalization {chosen}, as asked for"
    if loaded is not None and loaded.normalization is not None:
        mean, std = (tuple(values.tolist()) for values in loaded.normalization)
        chosen = Normalization(label="weight file", mean=mean, std=std)
        return chosen, None, f"normalization {chosen}"
    declared = _declared(model)
    if declared is not None:
        return declared, None, f"normalization {declared}, which the model's own configuration names"
    if data is None:
        raise WeightsError("how the model's input is normalised is not known: give normalization=, or data= to find out by trial")
    trial = _trial(model, data, dataset, channels, clip_values)
    if trial.chosen is None:
        raise WeightsError(f"how the model's input is normalised is not clear: {trial.reason}")
    return trial.chosen, trial, trial.reason


def _declared(model: nn.Module) -> Normalization | None:
    """The normalisation that a zoo declares, or timm's ``pretrained_cfg``."""
    own = getattr(model, NORMALIZATION, None)
    if own is not None:
        label, mean, std = own
        return Normalization(label=label, mean=mean, std=std)
    found = getattr(model, "pretrained_cfg", None)
    mean, std = (found.get(name) for name in ("mean", "std")) if isinstance(found, Mapping) else (None, None)
    if mean is None or std is None:
        return None
    return Normalization(label="model", mean=tuple(map(float, mean)), std=tuple(map(float, std)))


def _trial(
    model: nn.Module,
    data: tuple[npt.ArrayLike, npt.ArrayLike],
    dataset: str | None,
    channels: int,
    clip_values: tuple[float, float],
) -> NormalizationTrial:
    images: Any = data[0] if hasattr(data[0], "dtype") else np.asarray(data[0])
    labels = np.asarray(data[1])
    # Evenly spaced, and before the conversion: a data set may be much larger than what a trial uses.
    rows = np.linspace(0, len(labels) - 1, min(len(labels), TRIAL_IMAGES[-1])).round().astype(np.int64)
    images, labels = np.asarray(images[rows]), labels[rows]
    low, high = clip_values
    values = images.astype(np.float32) / (255 if images.dtype == np.uint8 and high <= 1 else 1)
    values = (values - low) / (high - low)
    own = None
    if len(values) > 1:
        axes = (0, *range(2, values.ndim))
        mean, std = values.mean(axis=axes), values.std(axis=axes)
        own = Normalization(label="these images", mean=tuple(map(float, mean)), std=tuple(map(float, np.maximum(std, 1e-6))))
    parameter = next(model.parameters(), torch.zeros(1))
    x = torch.as_tensor(values, dtype=parameter.dtype, device=parameter.device)
    y = torch.as_tensor(labels.argmax(axis=1) if labels.ndim == 2 else labels, dtype=torch.int64, device=parameter.device)
    return choose_normalization(model, x, y, candidates_for(dataset, channels, own))
