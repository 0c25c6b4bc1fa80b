"""What every worker process of a grid or a search does."""

from __future__ import annotations

import multiprocessing
import os

__all__ = ["die_with_parent", "threads_per_worker"]


def threads_per_worker(workers: int) -> int:
    """The share of the processor cores that this process may use; ``OMP_NUM_THREADS`` caps it."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, usable // workers)
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(said)) if said.isdigit() and int(said) > 0 else share


def die_with_parent() -> None:
    """A killed runner cannot stop its workers, and another one may start at once in the same folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
