"""What makes an epoch an error: a loss that is no number, targets outside the classes, an attack that did nothing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fairart.engine.meter import EpochMeter
from fairart.errors import PolicyError
from fairart.plugins import origin

__all__ = ["TrainingDivergedError", "check_changes", "check_losses"]


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


def check_losses(engine: Any, meter: EpochMeter, epoch: int) -> None:
    """Check the batches so far. Reads from the device.

    Args:
        engine: what trains.
        meter: sums of the epoch.
        epoch: its number, from 0.

    Raises:
        TrainingDivergedError: a loss is NaN or infinite.
        PolicyError: a target sampler aimed at no class.
    """
    bad = meter.first_bad_batch(engine.processes)
    if bad is not None:
        raise TrainingDivergedError(
            f"the loss became NaN or infinite in epoch {epoch}, batch {bad} (both from 0). "
            f"Likely causes: the learning rate ({engine.optimizer.param_groups[0]['lr']:g}) is too high, "
            "the model's outputs overflow, or a class weight is extreme"
        )
    if meter.had_bad_targets():
        sampler = origin(engine.method.target_sampler)
        raise PolicyError(f"{sampler}: sample() must return classes in [0, {engine.nb_classes}), got others in epoch {epoch}")


def check_changes(engine: Any, meter: EpochMeter, epoch: int) -> None:
    """Check that the attack changed inputs of every class: one that it left as it was was trained on clean images.

    Args:
        engine: what trains.
        meter: sums of the whole epoch.
        epoch: its number, from 0.

    Raises:
        RuntimeError: the attack changed nothing. An ART attack that left some classes alone is a warning: it may not have
            succeeded there.
    """
    method, budget = engine.method, engine.budget
    if not method.objective.perturbs or budget.max_iter == 0:
        return
    support, changes, budgets = meter.robust().support, meter.largest_changes(), method.epsilon_scheduler.current
    meant, inner = (support > 0) & (budgets > 0), method.attack
    unchanged = meant & ~(changes > 0)
    if not unchanged.any():
        return
    culprit = origin(method.objective) if inner is None else f"attack={type(inner.attack).__name__}"
    whole = bool(unchanged[meant].all())
    which = "" if whole else f" of class {', '.join(map(str, np.flatnonzero(unchanged)))}"
    detail = f"{culprit}, the inner attack, changed no input{which} in epoch {epoch} although eps is {budget.eps:g}"
    if inner is not None and not whole:
        warnings.warn(f"{detail}: these classes were trained on clean inputs", UserWarning, stacklevel=2)
        return
    raise RuntimeError(
        f"{detail}: that is no adversarial training. Look at eps_step ({budget.eps_step:g}), and at whether gradients "
        "reach the input"
    )
