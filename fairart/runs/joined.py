"""The processes that a launcher such as ``torchrun`` started for a run. Imports nothing heavy."""

from __future__ import annotations

import os

__all__ = ["joined_rank", "joined_size"]


def joined_size() -> int:
    """How many processes ``torchrun``, or another launcher that speaks as it does, started for this run; 1 for none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def joined_rank() -> int:
    """The number of this process among these; 0 is the one that writes and prints."""
    return int(os.environ.get("RANK", "0")) if joined_size() > 1 else 0
