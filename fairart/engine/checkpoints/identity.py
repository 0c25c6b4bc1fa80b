"""What a checkpoint belongs to, said in plain values, so that a foreign one is refused with what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.engine.checkpoints.packing import pack
from fairart.engine.data.augmentation import AnyAugmentation, AugmentationChain
from fairart.engine.method import Method
from fairart.execution import MAY_FOLLOW
from fairart.fingerprint import short_digest
from fairart.policies import Policy

__all__ = ["augmentation_identity", "classifier_identity", "described", "differences", "method_identity"]

SHOWN = 160
"""Characters of a value that a message shows."""


def described(state: Any) -> str:
    """Plain state as one line of text; tensors and arrays by their digest."""
    tree, tensors = pack(state)
    sums = [short_digest(tensor.view(torch.uint8) if tensor.dtype == torch.bfloat16 else tensor) for tensor in tensors.values()]
    return json.dumps(tree, sort_keys=True) + (f" {' '.join(sums)}" if sums else "")


def method_identity(method: Method) -> dict[str, str]:
    """Every part by its class and its options."""
    parts = {kind: _policy(policy) for kind, policy in method.policies()}
    if method.attack is not None:
        attack = method.attack.attack
        chosen = {name: getattr(attack, name, None) for name in attack.attack_params}
        parts["attack"] = f"{type(attack).__name__}({_options(chosen)})"
    if method.label_smoothing:
        parts["label_smoothing"] = f"{method.label_smoothing:g}"
    if method.gradient_clipping is not None:
        parts["gradient_clipping"] = f"{method.gradient_clipping:g}"
    if method.gradient_accumulation_steps != 1:
        parts["gradient_accumulation_steps"] = str(method.gradient_accumulation_steps)
    if method.loss_scale != "published":
        parts["loss_scale"] = method.loss_scale
    return parts


def augmentation_identity(augmentation: AnyAugmentation | None) -> str:
    """Every augmentation with its options; a function by its name."""
    if augmentation is None or isinstance(augmentation, AugmentationChain):
        return str(augmentation or "none")
    return str(getattr(augmentation, "__qualname__", type(augmentation).__name__))


def _policy(policy: Policy) -> str:
    memory = policy.state_dict()
    options = {name: value for name, value in vars(policy).items() if name not in memory and not name.startswith("_")}
    return f"{type(policy).__name__}({_options(options)})"


def _options(values: Mapping[str, Any]) -> str:
    shown = (bool, int, float, str, type(None))
    plain = {
        name: value
        for name, value in sorted(values.items())
        if isinstance(value, shown) or (isinstance(value, tuple) and all(isinstance(item, shown) for item in value))
    }
    return ", ".join(f"{name}={value!r}" for name, value in plain.items())


def classifier_identity(classifier: PyTorchClassifier, device: torch.device) -> dict[str, str]:
    """Model, optimiser with its settings, clip values, preprocessing and kind of device."""
    return {
        "model": _model(classifier.model),
        "optimizer": _optimizer(classifier.optimizer),
        "clip_values": "none" if classifier.clip_values is None else _values(classifier.clip_values),
        "preprocessing": ", ".join(_preprocessing(op) for op in classifier.preprocessing_operations) or "none",
        "device": device.type,
    }


def _model(model: nn.Module) -> str:
    state = model.state_dict()
    names = hashlib.sha256(repr([(name, tuple(v.shape), str(v.dtype)) for name, v in state.items()]).encode())
    return f"{type(model).__name__} of {len(state)} tensors ({names.hexdigest()[:12]})"


def _optimizer(optimizer: torch.optim.Optimizer) -> str:
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    return f"{type(optimizer).__name__} {described(groups)}"


def _values(values: Any) -> str:
    parts = [np.asarray(value) for value in values]
    return ", ".join(f"{part.item():g}" if part.size == 1 else short_digest(part) for part in parts)


def _preprocessing(operation: Any) -> str:
    numbers = {name: getattr(operation, name) for name in ("mean", "std") if getattr(operation, name, None) is not None}
    return f"{type(operation).__name__}({_values(numbers.values())})"


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same and must be, one line each: ``"seed was 0, is 1"``."""
    return [
        f"{name} was {_shown(saved.get(name, 'nothing'))}, is {_shown(now.get(name, 'nothing'))}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name) and (name not in MAY_FOLLOW or saved.get(name) != MAY_FOLLOW[name])
    ]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
