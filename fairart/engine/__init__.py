"""The training engine: one loop that every method runs on."""

from __future__ import annotations

from fairart.engine.checkpoints.checkpointing import Checkpointing
from fairart.engine.checkpoints.folder import CheckpointError, CheckpointWriteError
from fairart.engine.data.augmentation import crop_and_flip
from fairart.engine.history import EpochRecord, History
from fairart.engine.loop import Engine, TrainingDivergedError
from fairart.engine.method import Budget, Method
from fairart.engine.network import Network
from fairart.engine.validation import ValidationAttack

__all__ = [
    "Budget",
    "CheckpointError",
    "CheckpointWriteError",
    "Checkpointing",
    "Engine",
    "EpochRecord",
    "History",
    "Method",
    "Network",
    "TrainingDivergedError",
    "ValidationAttack",
    "crop_and_flip",
]
