"""Checkpoints: a run's state written whole, and read back only where it belongs to the run."""

from __future__ import annotations

from fairart.engine.checkpoints.checkpointing import Checkpointing
from fairart.engine.checkpoints.folder import CheckpointError, CheckpointWriteError

__all__ = ["CheckpointError", "CheckpointWriteError", "Checkpointing"]
