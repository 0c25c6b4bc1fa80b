"""Parts of a method as users give them: a registered name, or an instance."""

from __future__ import annotations

from typing import Annotated, Any

from fairart.objectives.base import Objective
from fairart.plugins import create
from fairart.plugins.options import Option
from fairart.policies import (
    Averaging,
    ClassificationLoss,
    ClassSampling,
    ClassWeighting,
    EpsilonScheduler,
    TargetSampler,
    WeightPerturbation,
)

__all__ = [
    "PART_OF_KIND",
    "AveragingPart",
    "ClassificationLossPart",
    "EpsilonPart",
    "ObjectivePart",
    "PerturbationPart",
    "SamplingPart",
    "TargetPart",
    "WeightingPart",
    "resolve",
]

ObjectivePart = Annotated[str | Objective, Option("what one batch minimises: a registered objective or an instance")]
TargetPart = Annotated[
    str | TargetSampler | None, Option("which class each adversarial example aims at; None for untargeted training")
]
EpsilonPart = Annotated[str | EpsilonScheduler | None, Option("budget of each class; None for the same")]
WeightingPart = Annotated[str | ClassWeighting | None, Option("weight of each class in the loss; None for the same")]
SamplingPart = Annotated[
    str | ClassSampling | None, Option("which classes a batch is drawn from; None for every sample once an epoch")
]
ClassificationLossPart = Annotated[
    str | ClassificationLoss | None, Option("what stands in for the cross-entropy of the objective; None for the cross-entropy")
]
PerturbationPart = Annotated[
    str | WeightPerturbation | None, Option("moves the weights while a gradient is computed; None for nothing")
]
AveragingPart = Annotated[str | Averaging | None, Option("weight averaging: ema, fawa, or None")]

PART_OF_KIND: dict[str, type[Any]] = {
    "objective": Objective,
    "target_sampler": TargetSampler,
    "epsilon_scheduler": EpsilonScheduler,
    "class_weighting": ClassWeighting,
    "class_sampling": ClassSampling,
    "classification_loss": ClassificationLoss,
    "weight_perturbation": WeightPerturbation,
    "averaging": Averaging,
}
"""The base class of each kind of part."""

NOTHING = {"epsilon_scheduler": "constant", "class_weighting": "uniform"}
"""What stands in where a user gives None."""


def resolve(kind: str, part: Any) -> Any:
    """Make a part: a name is created, an instance is taken as it is, None gives nothing (or what does nothing).

    Args:
        kind: of the part.
        part: registered name, instance or None.

    Raises:
        TypeError: anything else, a class instead of an instance for example.
        UnknownNameError: no such name.
    """
    if part is None:
        if kind == "objective":
            raise TypeError("objective must be a registered name or an instance of Objective, got None")
        part = NOTHING.get(kind)
        if part is None:
            return None
    base = PART_OF_KIND[kind]
    made = create(kind, part) if isinstance(part, str) else part
    if not isinstance(made, base):
        module = ".".join(base.__module__.split(".")[:2])
        raise TypeError(
            f"{kind} must be a registered name or an instance of {module}.{base.__name__}, got "
            + (f"the class {made.__name__}: make an instance of it" if isinstance(made, type) else f"{made!r}")
        )
    return made
