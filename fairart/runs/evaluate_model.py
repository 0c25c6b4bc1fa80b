"""Any model, evaluated class by class: somebody else's architecture and weight file, or a model of a zoo."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from fairart.datasets import Dataset
from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.models.building import model_options_of
from fairart.models.classifier import LoadedClassifier, load_with_report
from fairart.runs.build import load_dataset, resolved_device
from fairart.runs.evaluating import Request, carry_out, prepare
from fairart.runs.evaluation import Budget
from fairart.runs.folders import check_evaluation_output
from fairart.runs.run import load_run
from fairart.runs.shared_evaluation import shared

__all__ = ["evaluate_model"]


def evaluate_model(
    model: str,
    output: str | os.PathLike[str],
    *,
    dataset: str,
    weights: str | os.PathLike[str] | None = None,
    data_root: str | None = None,
    normalization: str = "auto",
    weights_key: str | None = None,
    weights_index: int | None = None,
    strict: bool = True,
    model_options: Mapping[str, Any] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    request: Request | None = None,
) -> EvaluationResult:
    """Evaluate a model on the test images of a data set, and write ``evaluation.json`` into a folder.

    ``fairart compare``, ``report`` and ``plot`` take the folder like that of a run; they call the model by the folder's name.

    Args:
        model: what :func:`fairart.models.building.build_model` takes: a registered name, ``zoo:NAME``, ``module:callable`` or
            ``file.py:callable``.
        output: folder of the file; created if it does not exist. An earlier evaluation in it is replaced.
        dataset: registered name, ``npz:PATH``, ``npy:FOLDER`` or ``folder:FOLDER``; test images alone are enough.
        weights: a weight file in any layout; None for the weights of a zoo, or those that the callable loads itself.
        data_root: folder of the data files.
        normalization: see :func:`fairart.models.load_classifier`.
        weights_key: where the state dict is in the file, if several fit.
        weights_index: position in a list of state dicts.
        strict: whether every tensor must find its counterpart.
        model_options: further arguments of the model.
        dataset_options: further options of the data set.
        request: attacks, corruptions and their settings.

    Raises:
        WeightsError: weights that cannot be loaded, or a normalisation that is not clear.
        OptionError: a bad option, or a registered model without weights.
        UnknownNameError: no such model, data set, attack or corruption.
        FileExistsError: the folder has a run, or is a file.
        EvaluationError: an attack did nothing.
    """
    asked = request or Request()
    return shared(
        _evaluate_model,
        request=asked,
        budget=Budget(),
        output=output,
        device=asked.device or "auto",
        model=model,
        dataset=dataset,
        weights=weights,
        data_root=data_root,
        normalization=normalization,
        weights_key=weights_key,
        weights_index=weights_index,
        strict=strict,
        model_options=model_options,
        dataset_options=dataset_options,
    )


def _evaluate_model(
    *,
    model: str,
    output: str | os.PathLike[str],
    dataset: str,
    weights: str | os.PathLike[str] | None,
    data_root: str | None,
    model_options: Mapping[str, Any] | None,
    dataset_options: Mapping[str, Any] | None,
    request: Request,
    fabric: Any,
    **loading: Any,
) -> EvaluationResult:
    folder = check_evaluation_output(output)
    if weights is None and "pretrained" not in (model_options_of(model) or {"pretrained"}):
        raise OptionError(f"model {model!r} has random weights: expected a weight file (--weights FILE)")
    device = resolved_device(request.device or "auto")
    prepared = prepare(request, Budget(), surrogate=lambda path: load_run(path, device=device).classifier)
    data = load_dataset(dataset, data_root=data_root, options=dataset_options)
    images, labels, split = _trial_images(data)
    loaded = load_with_report(
        model,
        weights,
        input_shape=data.input_shape,
        nb_classes=data.nb_classes,
        data=(images, labels),
        dataset=data.name,
        model_options=model_options,
        device=device,
        **loading,
    )
    notes = [*loaded.notes[:-1], loaded.notes[-1] + (f" of the {split} split" if loaded.trial is not None else "")]
    if request.verbose:
        for note in notes:
            print(f"fairart: {note}", file=sys.stderr)
    about = {
        "dataset": dataset,
        "model": model,
        "model_options": dict(model_options or {}),
        "weights": None if weights is None else str(weights),
        "normalization": None if loaded.normalization is None else str(loaded.normalization),
        "loading": notes,
    }
    result = carry_out(prepared, loaded.classifier, data, folder, device=device, about=about, fabric=fabric)
    if fabric is None or fabric.global_rank == 0:
        _warn_near_chance(result, loaded)
    return result


def _trial_images(data: Dataset) -> tuple[Any, npt.NDArray[Any], str]:
    """Images that a normalisation may be tried on: of training if there are any, else of the test split."""
    if len(data.x_train):
        return data.x_train, data.y_train, "training"
    return data.x_test, data.y_test, "test"


def _warn_near_chance(result: EvaluationResult, loaded: LoadedClassifier) -> None:
    clean, number = result["clean"].accuracy, len(result.labels)
    chance = 1 / result["clean"].nb_classes
    if clean < chance + 3 * math.sqrt(chance * (1 - chance) / number):
        warnings.warn(
            f"clean accuracy {clean:.1%} is near chance ({chance:.1%}). Usual causes: another normalisation (used here: "
            f"{loaded.normalization or 'that of the model itself'}), inputs of another range (0..255 or -1..1), classes in "
            "another order, or weights that were not trained",
            UserWarning,
            stacklevel=3,
        )
