"""What an epoch measures besides its batches."""

from __future__ import annotations

from dataclasses import dataclass

from fairart.engine.overfitting import OverfittingWatch
from fairart.engine.training_pass import TrainingPass
from fairart.engine.validation import Validator

__all__ = ["Measures"]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What an epoch measures besides its batches; None for nothing.

    Args:
        validator: validation data, after the epoch.
        training_pass: the whole training set under attack, before the epoch.
        watch: a few hundred training samples under PGD, after the epoch of a single-step training.
    """

    validator: Validator | None = None
    training_pass: TrainingPass | None = None
    watch: OverfittingWatch | None = None
