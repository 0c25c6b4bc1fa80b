"""Remedies for long-tailed training that follow it: a new last layer (cRT), tau-normalisation, post-hoc logit adjustment."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.datasets import Dataset
from fairart.engine.randomness import isolated_random_state
from fairart.errors import OptionError
from fairart.models.last_layer import adjust_logits, last_linear, tau_normalise
from fairart.runs import build
from fairart.runs.adjustments import parsed_adjustment
from fairart.runs.batch_size import whole
from fairart.runs.config import OFF, RunConfig
from fairart.runs.folders import CONFIG, HISTORY, WEIGHTS, RunError, belongs_to, check_output, clear, read_config
from fairart.runs.label_noise import read_label_noise, write_label_noise
from fairart.runs.optimising import Schedule, build_optimizer
from fairart.runs.weights import load_weights, read_scaling, save_weights

__all__ = ["adjust_run", "apply_adjustment", "parsed_adjustment"]


def apply_adjustment(config: RunConfig, classifier: PyTorchClassifier, data: Dataset, *, verbose: bool = False) -> None:
    """Change the last layer of a trained classifier by the config's ``adjustment``, in place.

    Args:
        config: the run.
        classifier: its trained classifier.
        data: its data set; the counts of its training images matter.
        verbose: show a progress bar where a layer is trained.

    Raises:
        OptionError: no such adjustment.
        ValueError: the model does not end in a linear layer, or that has no bias.
    """
    if config.adjustment is None:
        return
    name, value = parsed_adjustment(config.adjustment)
    layer = last_linear(classifier.model, data.nb_classes)
    if name == "tau-norm":
        tau_normalise(layer, value)
    elif name == "logit-adjustment":
        adjust_logits(layer, np.array(data.training_counts), value)
    else:
        _retrain(config, classifier, data, layer, int(value), verbose=verbose)


def _retrain(
    config: RunConfig, classifier: PyTorchClassifier, data: Dataset, layer: nn.Linear, epochs: int, *, verbose: bool
) -> None:
    """cRT (Kang et al., ICLR 2020): the last layer anew with every class drawn alike, all else frozen.

    By the run's own objective, attack and budget, without its other parts; the schedule is the run's, over these epochs.
    """
    warmup = min(config.warmup_epochs, epochs / 4) if config.warmup_epochs else 0.0
    parts: dict[str, Any] = dict.fromkeys(
        ("target_sampler", "epsilon_scheduler", "class_weighting", "weight_perturbation", "averaging"), OFF
    )
    options = {kind: chosen for kind, chosen in config.options.items() if kind in ("objective", "dataset", "model")}
    objective = config.objective or build.trainer_class(config)._preset("objective")
    own = dataclasses.replace(
        config,
        trainer="at" if objective != "standard" else "standard",
        objective=objective,
        **parts,
        class_sampling="balanced",
        classification_loss=OFF,
        epochs=epochs,
        warmup_epochs=warmup,
        warm_start=None,
        adjustment=None,
        options=options,
    )
    device = next(layer.parameters()).device
    with isolated_random_state(config.seed, torch.device("cpu")):
        layer.cpu().reset_parameters()
    layer.to(device)
    classifier._optimizer = build_optimizer(own, layer.parameters())
    trainer = build.build_trainer(own, classifier, data)
    schedule = Schedule(own)
    with _frozen(classifier.model, layer):
        trainer.fit(
            data.x_train,
            data.y_train,
            batch_size=whole(config),
            nb_epochs=epochs,
            scheduler=schedule,
            scheduler_interval="batch" if schedule.by_batch else "epoch",
            seed=config.seed,
            verbose=verbose,
        )


@contextlib.contextmanager
def _frozen(model: nn.Module, layer: nn.Module) -> Iterator[None]:
    """Only one layer learns: other parameters take no gradient, other modules stay in eval mode."""
    kept = [parameter for parameter in model.parameters() if parameter.requires_grad]
    inside = set(layer.modules())
    others = [module for module in model.modules() if module not in inside and not any(one in inside for one in module.modules())]
    try:
        for parameter in kept:
            parameter.requires_grad_(False)
        for parameter in layer.parameters():
            parameter.requires_grad_(True)
        for module in others:
            module.eval()
            # Batch-norm and dropout must not hear of train mode.
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
        yield
    finally:
        for module in others:
            del module.train
        for parameter in kept:
            parameter.requires_grad_(True)


def adjust_run(folder: str | Path, adjustment: str, output: str | Path, *, overwrite: bool = False, verbose: bool = True) -> Path:
    """Write a run with an adjusted last layer beside the run itself; ``fairart evaluate`` and the others take it as any run.

    Args:
        folder: of the trained run.
        adjustment: see :func:`parsed_adjustment`.
        output: folder of the new run.
        overwrite: replace the run that is there.
        verbose: show a progress bar where a layer is trained.

    Returns:
        The new folder.

    Raises:
        RunError: no finished run, or one that is adjusted already.
        OptionError: no such adjustment, or an output that would overwrite the run itself.
        FileExistsError: the output has a run already.
        ValueError: a model that does not end in a linear layer, or that has no bias.
    """
    parsed_adjustment(adjustment)
    place, source = check_output(output, overwrite=overwrite, resume=False), Path(folder).expanduser()
    if belongs_to(source, place):
        raise OptionError(f"the adjusted run would overwrite {str(source)!r}, which it is made of: choose another output")
    config = read_config(source)
    if config.adjustment is not None:
        raise RunError(f"{str(folder)!r} is adjusted already ({config.adjustment}): adjust the run that it was made of")
    build.load_plugins(config, missing_ok=True)
    data = build.build_dataset(config)
    scaling = read_scaling(source / WEIGHTS, data)
    classifier = build.build_classifier(config, data, device=build.resolved_device(config.device), scaling=scaling)
    load_weights(classifier.model, source / WEIGHTS)
    adjusted = dataclasses.replace(config, adjustment=adjustment)
    apply_adjustment(adjusted, classifier, data, verbose=verbose)
    place.mkdir(parents=True, exist_ok=True)
    # Evaluations, checkpoints and the best epoch of a run that was there belong to other weights.
    clear(place)
    adjusted.save(place / CONFIG)
    before = read_label_noise(source)
    if before is not None:
        write_label_noise(place, adjusted, data, classifier=classifier, held_out=np.array(before["held_out"], dtype=np.int64))
    if (source / HISTORY).is_file():
        shutil.copyfile(source / HISTORY, place / HISTORY)
    save_weights(classifier.model, data, place / WEIGHTS, scaling=scaling)
    return place
