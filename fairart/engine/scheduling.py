"""When a learning-rate scheduler steps, once an epoch or once a batch, and what its ``step`` is given."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any, Literal

from torch.optim import lr_scheduler

__all__ = ["Interval", "chosen_interval", "step_scheduler"]

Interval = Literal["epoch", "batch"]

BY_BATCH = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)
"""Schedulers of torch whose documentation asks for a step after every batch."""

HORIZONS = ("total_steps", "T_max", "total_iters", "T_0")
"""Attributes in which schedulers of torch keep the number of steps they were made for."""

EPOCH_NAMES = ("epoch", "epochs", "t")
"""Names of a required first argument of ``step`` that is the number of epochs done, as in timm's schedulers."""


def _horizon(scheduler: Any) -> int | None:
    for name in HORIZONS:
        value = getattr(scheduler, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def chosen_interval(scheduler: Any, wanted: Interval | None, *, nb_epochs: int, nb_batches: int) -> Interval:
    """How often a scheduler steps: as asked, else as its class and the number of steps it was made for say.

    Args:
        scheduler: anything with ``step()``.
        wanted: ``"epoch"``, ``"batch"``, or None to decide.
        nb_epochs: epochs of the fit.
        nb_batches: batches of an epoch.

    Raises:
        ValueError: another interval, a scheduler that reads a metric with ``"batch"``, or one that was made for fewer steps
            than the fit takes and raises beyond them.
    """
    if wanted not in (None, "epoch", "batch"):
        raise ValueError(f"scheduler_interval must be 'epoch', 'batch' or None, got {wanted!r}")
    horizon, batches, name = _horizon(scheduler), nb_epochs * nb_batches, type(scheduler).__name__
    by_batch = horizon != nb_epochs and (horizon == batches or isinstance(scheduler, BY_BATCH))
    chosen: Interval = wanted or ("batch" if by_batch else "epoch")
    if chosen == "batch" and _first_argument(scheduler) is not None:
        raise ValueError(f"scheduler_interval='batch': step() of {name} takes an argument that is known once an epoch only")
    steps = nb_epochs if chosen == "epoch" else batches
    if isinstance(scheduler, lr_scheduler.OneCycleLR):
        left = int(scheduler.total_steps) - int(scheduler.last_epoch)
        if steps > left:
            raise ValueError(
                f"{name} has {left} of its {scheduler.total_steps} steps left, this fit makes {steps} (one a {chosen}): make it "
                f"with total_steps={steps}"
            )
    if isinstance(scheduler, BY_BATCH) and steps != horizon and (horizon is not None or chosen == "epoch"):
        made = "made for a step after every batch" if horizon is None else f"made for {horizon} steps"
        warnings.warn(
            f"{name} was {made}; this fit makes {steps} (one a {chosen}), so the learning rate does not reach where it was meant "
            "to: give scheduler_interval=, or make the scheduler for this number of steps",
            UserWarning,
            stacklevel=2,
        )
    return chosen


def step_scheduler(scheduler: Any, *, loss: float, epochs_done: int) -> None:
    """Step once: with the mean loss or the number of epochs done if ``step`` requires an argument, else without.

    Args:
        scheduler: anything with ``step()``.
        loss: mean training loss of the epoch.
        epochs_done: epochs trained so far.
    """
    first = _first_argument(scheduler)
    if first is None:
        scheduler.step()
    elif first in EPOCH_NAMES:
        scheduler.step(epochs_done)
    else:
        scheduler.step(loss if math.isfinite(loss) else math.inf)


def _first_argument(scheduler: Any) -> str | None:
    parameters = list(inspect.signature(scheduler.step).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if parameters and parameters[0].default is inspect.Parameter.empty and parameters[0].kind in positional:
        return parameters[0].name
    return None
