"""How much memory the images of a run may take: what the config says, or what is free, settled once for all processes."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch

from fairart.datasets.memory import available_memory, parse_memory
from fairart.plugins import get_plugin_manager
from fairart.plugins.options import declared_options
from fairart.runs.config import RunConfig
from fairart.runs.joined import joined_size

__all__ = ["at_most_free", "settled"]

SHARE_OF_GPU = 4
"""Images in memory live on the GPU: at most this part of what is free there, since activations need the most."""


def settled(config: RunConfig, fabric: Any = None, *, device: str) -> RunConfig:
    """The config with an amount of memory for its images; as it is where it names one, or its data set takes none.

    All processes must come to the same choice, and a resumed run to that of its start: so the first process decides, and the
    amount is written into the run's configuration.

    Args:
        config: the run.
        fabric: a launched Fabric of several processes, or None.
        device: ``"cpu"`` or ``"cuda"``.
    """
    if config.data_memory is not None or not takes_data_memory(config):
        return config
    limit = _free(config, device)
    if fabric is not None:
        limit = fabric.broadcast(limit, src=0)
    return dataclasses.replace(config, data_memory=f"{limit >> 20}MiB")


def at_most_free(config: RunConfig, *, device: str, processes: int = 1) -> RunConfig:
    """The config with no more memory for its images than is free here; that changes no number of an evaluation.

    Args:
        config: a run, maybe of another machine.
        device: ``"cpu"`` or ``"cuda"``.
        processes: of this machine that load it at the same time.
    """
    if not takes_data_memory(config):
        return config
    free = settled(dataclasses.replace(config, data_memory=None, devices=processes), device=device).data_memory
    both = [amount for amount in (config.data_memory, free) if amount is not None]
    return dataclasses.replace(config, data_memory=min(both, key=lambda amount: parse_memory(amount, where="data_memory")))


def takes_data_memory(config: RunConfig) -> bool:
    """Whether the images of the config's data set can stay on disk."""
    entry, _ = get_plugin_manager().find("dataset", config.dataset)
    return "data_memory" in declared_options(entry.load())


def _free(config: RunConfig, device: str) -> int:
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if joined_size() > 1 else config.devices
    # Each process has its own copy, and so has the one that starts them.
    limit = available_memory() // (2 if here == 1 else 2 * (here + 1))
    if device == "cuda":
        limit = min(limit, torch.cuda.mem_get_info()[0] // SHARE_OF_GPU)
    return limit
