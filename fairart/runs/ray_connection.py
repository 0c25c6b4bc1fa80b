"""The connection to a Ray cluster. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fairart.plugins.options import Option

__all__ = ["RayOptions", "cluster"]


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """The cluster, and what a cell takes of it.

    Args:
        address: of a cluster; None asks ``RAY_ADDRESS``, and starts one on this machine where that is not set. A program that
            is connected already stays so.
        num_cpus: cores that a cell takes, and its number of threads.
        num_gpus: GPUs that a cell takes; a fraction shares one.
    """

    address: Annotated[str | None, Option("address of the Ray cluster")] = None
    num_cpus: Annotated[int, Option("cores that a cell takes", low=1)] = 1
    num_gpus: Annotated[float, Option("GPUs that a cell takes; 0.5 lets two share one", low=0)] = 0.0


@contextlib.contextmanager
def cluster(ray: Any, options: RayOptions) -> Iterator[bool]:
    """Connect, or start a cluster here; gives whether it is our own."""
    if ray.is_initialized():
        yield False
        return
    address = options.address or os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {}
    if not address:
        # A cluster for one benchmark needs no dashboard and sends no usage statistics.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        own = {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # Ray passes on any exception of its transport
        detail = " ".join(str(error).split())
        raise RuntimeError(f"cannot reach the Ray cluster {address or 'of this machine'!r}: {detail[:300]}") from error
    try:
        yield not address
    finally:
        ray.shutdown()
