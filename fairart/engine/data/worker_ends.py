"""A process of a torch ``DataLoader`` that ended by itself: why, in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

from fairart.datasets.memory import available_memory, memory_text

__all__ = ["is_lost", "is_worker_end", "why_it_ended"]

SHARED = Path("/dev/shm")
"""Through which processes hand over images."""


def is_worker_end(error: BaseException) -> bool:
    """Whether an error is that of a loader whose process ended; what the data set itself raised in a process is not."""
    # Of its data set's errors the loader says "in DataLoader worker process 0".
    return isinstance(error, RuntimeError) and "DataLoader worker (pid" in str(error)


def is_lost(error: BaseException) -> bool:
    """Whether an error that was raised while the next batch was taken over is that of a process that is gone."""
    cut = isinstance(error, ConnectionError | EOFError) and "in DataLoader worker process" not in str(error)
    return cut or is_worker_end(error)


def why_it_ended(error: BaseException) -> str:
    """The likely cause, a sentence; empty where nothing is known.

    Args:
        error: what the loader raised.
    """
    if "killed by signal: Killed" in str(error):
        return f"The system killed it: most likely memory ran out ({memory_text(available_memory())} are free now)."
    if not SHARED.is_dir():
        return ""
    free = memory_text(shutil.disk_usage(SHARED).free)
    state = f"Shared memory ({SHARED}) has {free} free"
    if "Bus error" in str(error):
        return f"{state}, and that was too little (docker run --shm-size=8g gives more)."
    return f"{state}; containers often have little (docker run --shm-size=8g gives more)."
