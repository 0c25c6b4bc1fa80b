"""Several classifiers as one: an attack on the ensemble has the gradient through all members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from art.preprocessing.standardisation_mean_std.pytorch import StandardisationMeanStdPyTorch
from art.preprocessing.standardisation_mean_std.utils import broadcastable_mean_std
from torch import Tensor, nn

from fairart.models.logits import logits_of

__all__ = ["COMBINATIONS", "Combination", "Ensemble", "combined_logits"]

Combination = Literal["probabilities", "logits"]

COMBINATIONS: tuple[str, ...] = get_args(Combination)
"""What members may be averaged by."""


def combined_logits(logits: Sequence[Tensor], combine: str) -> Tensor:
    """Logits (n, K) of an ensemble.

    The mean of probabilities is given as its logarithm: the softmax of that is the mean itself, so that losses on logits work.
    It is computed without leaving the logarithm: the gaps between small probabilities, which margin losses follow, stay exact.

    Args:
        logits: (n, K) of each member.
        combine: ``"probabilities"`` or ``"logits"``.
    """
    stacked = torch.stack(list(logits))
    if combine == "logits":
        return stacked.mean(dim=0)
    return stacked.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(stacked))


class Ensemble(nn.Module):
    """Members that answer together, by the mean of their probabilities or of their logits.

    The module takes inputs in clip values: the normalisation of each classifier is part of its member. Models are used as they
    are, not copied: training one of them later changes the ensemble. :meth:`classifier` gives an ART classifier for
    :func:`fairart.evaluation.evaluate`, which then records where the members disagree.

    Args:
        members: two classifiers or more, of one input shape, number of classes, clip values, device and number format.
        combine: ``"probabilities"`` (their mean, as logarithm) or ``"logits"`` (their mean).
        names: one for each member, for tables; by default ``"member 1"`` and so on.

    Raises:
        TypeError: a member is no ``PyTorchClassifier``.
        ValueError: fewer than two members, one model twice, members that do not fit together, preprocessing other than mean and
            standard deviation, an unknown ``combine``, or names that are not one for each, all different.
    """

    def __init__(
        self,
        members: Sequence[PyTorchClassifier],
        *,
        combine: Combination = "probabilities",
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if combine not in COMBINATIONS:
            raise ValueError(f"combine must be one of {', '.join(map(repr, COMBINATIONS))}, got {combine!r}")
        classifiers = list(members)
        self.names = _checked_names(names, len(classifiers))
        _check_members(classifiers, self.names)
        self.combine: str = combine
        self.members = nn.ModuleList(_Member(one, name) for one, name in zip(classifiers, self.names, strict=True))
        first = classifiers[0]
        self._about: dict[str, Any] = {
            "input_shape": tuple(first.input_shape),
            "nb_classes": int(first.nb_classes),
            "clip_values": first.clip_values,
            "device_type": "cpu" if torch.device(first.device).type == "cpu" else "gpu",
        }

    def member_logits(self, x: Tensor) -> list[Tensor]:
        """Logits (n, K) of each member.

        Args:
            x: (n, *input_shape) in clip values.
        """
        return [member(x) for member in self.members]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of the ensemble for inputs (n, *input_shape) in clip values."""
        return combined_logits(self.member_logits(x), self.combine)

    def classifier(self) -> PyTorchClassifier:
        """An ART classifier of the ensemble, without preprocessing of its own."""
        return PyTorchClassifier(model=self, loss=nn.CrossEntropyLoss(), **self._about)


class _Member(nn.Module):
    """A classifier's model behind its normalisation."""

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, classifier: PyTorchClassifier, name: str) -> None:
        super().__init__()
        self.model: nn.Module = classifier.model
        mean, std = _normalisation(classifier, name)
        # Buffers: they follow the module to another device, and belong to what a fingerprint reads.
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        return logits_of(self.model(x))


def _dtype(classifier: PyTorchClassifier) -> torch.dtype:
    parameter = next(classifier.model.parameters(), None)
    return parameter.dtype if parameter is not None and parameter.is_floating_point() else torch.float32


def _normalisation(classifier: PyTorchClassifier, name: str) -> tuple[Tensor, Tensor] | tuple[None, None]:
    steps = [step for step in classifier.preprocessing_operations if step.apply_predict]
    for step in steps:
        if type(step) is not StandardisationMeanStdPyTorch:
            raise ValueError(
                f"{name}: its preprocessing has {type(step).__name__}; a member of an ensemble may have mean and standard "
                "deviation alone"
            )
    if not steps:
        return None, None
    if len(steps) > 1:
        raise ValueError(f"{name}: its preprocessing standardises {len(steps)} times; a member of an ensemble may do it once")
    sample = np.empty((1, *classifier.input_shape))
    mean, std = (
        torch.as_tensor(value, dtype=_dtype(classifier), device=classifier.device)
        for value in broadcastable_mean_std(sample, steps[0].mean, steps[0].std)
    )
    return mean, std


def _checked_names(names: Sequence[str] | None, number: int) -> tuple[str, ...]:
    found = tuple(f"member {place + 1}" for place in range(number)) if names is None else tuple(names)
    if isinstance(names, str) or len(found) != number or len(set(found)) < number:
        raise ValueError(f"names must be {number} different texts, one for each member, got {names!r}")
    return found


def _check_members(classifiers: Sequence[PyTorchClassifier], names: Sequence[str]) -> None:
    for one in classifiers:
        if not isinstance(one, PyTorchClassifier):
            raise TypeError(f"members must be PyTorchClassifiers, got {type(one).__module__}.{type(one).__qualname__}")
    if len(classifiers) < 2:
        raise ValueError(f"an ensemble has two members or more, got {len(classifiers)}")
    if len({id(one.model) for one in classifiers}) < len(classifiers):
        raise ValueError("every member must be a model of its own, got one model twice")
    expected = _traits(classifiers[0])
    for one, name in zip(classifiers[1:], names[1:], strict=True):
        for trait, value in _traits(one).items():
            if value != expected[trait]:
                raise ValueError(f"members must have the same {trait}: {names[0]} has {expected[trait]}, {name} has {value}")


def _traits(classifier: PyTorchClassifier) -> dict[str, Any]:
    clip = classifier.clip_values
    return {
        "input shape": tuple(int(side) for side in classifier.input_shape),
        "number of classes": int(classifier.nb_classes),
        "clip values": None if clip is None else [np.asarray(value, dtype=np.float64).tolist() for value in clip],
        "device": str(classifier.device),
        "number format": str(_dtype(classifier)).removeprefix("torch."),
    }
