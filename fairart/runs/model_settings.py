"""Optimizer, learning rate and schedule that a run takes where it names none: they depend on the network and the optimizer.

Importing this module loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairart.errors import OptionError

__all__ = ["BY_MODEL", "MODELS", "ModelSettings", "check_optimising", "chosen", "filled", "published"]

BY_MODEL: Any = None
"""Default of a setting that :func:`filled` decides."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What a network is trained with by its own publication.

    Args:
        source: where it was read.
        settings: field of a run's config -> value.
        rate: learning rate for each image of a batch.
        warm_up: epochs in which it rises; at most a quarter of the run.
    """

    source: str
    settings: Mapping[str, Any]
    rate: float
    warm_up: float


MODELS = {
    "xcit-s12": ModelSettings(
        source="XCiT, El-Nouby et al., NeurIPS 2021, Sec. 4, and its program",
        settings={"optimizer": "adamw", "weight_decay": 0.05, "schedule": "cosine"},
        rate=5e-4 / 512,
        warm_up=5.0,
    )
}
"""Networks that SGD with the general settings does not train well."""

USUAL_BATCH = 128
"""Images a batch where nothing is said."""

GENERAL: dict[str, Any] = {"optimizer": "sgd", "schedule": "multistep", "warmup_epochs": 0.0}
OF_OPTIMIZER: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.1, "weight_decay": 5e-4, "momentum": 0.9},
    # Those of torch.
    "adamw": {"lr": 1e-3, "weight_decay": 0.01},
}


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with what is None decided: by the network's publication where there is one, else by the optimizer.

    The network's publication counts unless another optimizer is chosen; a momentum is a choice of SGD.

    Args:
        given: fields of a run's config; ``model``, ``epochs`` and ``batch_size`` among them.
    """
    values = {**given, **{name: value for name, value in chosen(given).items() if given.get(name) is None}}
    model = _model_of(values)
    if model is not None and values.get("optimizer") == model.settings["optimizer"]:
        _fill(values, {**model.settings, "lr": model.rate * _images_a_batch(values)})
        if values["schedule"] != "onecycle":
            _fill(values, {"warmup_epochs": min(model.warm_up, _number(values.get("epochs")) / 4)})
    _fill(values, GENERAL)
    _fill(values, OF_OPTIMIZER.get(str(values["optimizer"]), {}))
    return values


def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Optimizer and schedule that the user's words choose, before any default: None where they say nothing.

    Args:
        given: what the user gave: fields of a run's config.
    """
    optimizer, schedule = given.get("optimizer"), given.get("schedule")
    if optimizer is None and given.get("momentum") is not None:
        optimizer = "sgd"
    model = _model_of(given)
    if model is not None and optimizer in (None, model.settings["optimizer"]):
        optimizer = model.settings["optimizer"]
        schedule = model.settings["schedule"] if schedule is None else schedule
    return {"optimizer": optimizer, "schedule": schedule}


def published(config: Any) -> str | None:
    """What of a run's settings comes from the publication of its network, for a message; None where nothing does.

    Args:
        config: a :class:`~fairart.runs.config.RunConfig`.
    """
    model = _model_of(vars(config))
    if model is None or config.optimizer != model.settings["optimizer"]:
        return None
    same = [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in _taken(config, model)]
    return f"{config.model} trains by its own recipe: {', '.join(same)} ({model.source})"


def _taken(config: Any, model: ModelSettings) -> list[tuple[str, Any]]:
    rates = {"lr": model.rate * config.batch_size, "warmup_epochs": min(model.warm_up, config.epochs / 4)}
    settings = {**model.settings, **rates}
    return [(name, value) for name, value in settings.items() if getattr(config, name) == value]


def check_optimising(config: Any, *, default_milestones: tuple[float, ...]) -> None:
    """Refuse settings that would go unused, or that make no schedule.

    Args:
        config: a :class:`~fairart.runs.config.RunConfig`.
        default_milestones: milestones that nobody gave.

    Raises:
        OptionError: what does not fit, and what would.
    """
    if config.optimizer != "sgd" and config.momentum is not None:
        raise OptionError(f"momentum is a setting of SGD and would go unused with {config.optimizer}: leave it out")
    if config.optimizer == "sgd" and config.momentum is None:
        raise OptionError("momentum must be a number with SGD, got None")
    if config.schedule != "multistep" and config.lr_milestones not in ((), default_milestones):
        raise OptionError(
            f"lr_milestones are those of the schedule multistep and would go unused with {config.schedule}: leave them out"
        )
    if config.schedule == "onecycle" and config.warmup_epochs:
        raise OptionError("warmup_epochs: the schedule onecycle has a warm-up of its own; take another schedule, or 0")
    if config.warmup_epochs >= config.epochs:
        raise OptionError(f"warmup_epochs must be less than the {config.epochs} epochs of the run, got {config.warmup_epochs:g}")


def _model_of(values: Mapping[str, Any]) -> ModelSettings | None:
    model = values.get("model")
    return MODELS.get(model) if isinstance(model, str) else None


def _images_a_batch(values: Mapping[str, Any]) -> float:
    # Where the size is found by trial, the rate must not depend on the memory of a machine.
    size = values.get("batch_size")
    return float(USUAL_BATCH) if size == "auto" else _number(size)


def _fill(values: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if values.get(name) is None:
            values[name] = value


def _number(value: Any) -> float:
    # A value that is no number is refused where all are checked.
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
