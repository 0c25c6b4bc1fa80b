"""Everything that the rest of a run follows from, taken from an engine and put back into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairart.engine.loop import Engine
from fairart.engine.meter import EpochMeter
from fairart.engine.randomness import global_random_state
from fairart.engine.under_way import EpochUnderWay

__all__ = ["restore", "snapshot"]


def snapshot(engine: Engine, under_way: EpochUnderWay | None) -> dict[str, Any]:
    """The state of a run between two batches.

    Args:
        engine: what trains.
        under_way: the epoch that has begun, or None between two epochs.

    Returns:
        Weights, optimiser, learning-rate scheduler, policies, random states and the epoch under way; tensors are the engine's.
    """
    network, scheduler = engine.network, engine.scheduler
    return {
        "weights": dict(network.module.state_dict()),
        "optimizer": engine.optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "policies": {kind: policy.state_dict() for kind, policy in engine.method.policies()},
        "streams": engine.streams.state_dict(),
        "further": engine.further_state(),
        # Dropout draws as much as a process has samples: each process has a state of its own.
        "random": engine.processes.gathered(global_random_state(network.device)),
        "under_way": None if under_way is None else under_way.state_dict(),
    }


def restore(engine: Engine, state: Mapping[str, Any]) -> EpochUnderWay | None:
    """Put a run back to where :func:`snapshot` saw it, but for the global random states.

    Args:
        engine: made as the one before was, its policies started.
        state: what :func:`snapshot` gave.

    Returns:
        The epoch under way, for :meth:`Engine.run`.
    """
    network = engine.network
    network.module.load_state_dict(state["weights"])
    engine.optimizer.load_state_dict(state["optimizer"])
    if engine.scheduler is not None:
        engine.scheduler.load_state_dict(state["scheduler"])
    for kind, policy in engine.method.policies():
        policy.load_state_dict(state["policies"][kind])
    engine.streams.load_state_dict(state["streams"])
    # Checkpoints from before this entry are of engines that have nothing further.
    engine.load_further_state(state.get("further", {}))
    if state["under_way"] is None:
        return None
    rate = float(engine.optimizer.param_groups[0]["lr"])
    under_way = EpochUnderWay(0, EpochMeter(engine.nb_classes, network.device, engine.needs), rate)
    under_way.load_state_dict(state["under_way"])
    return under_way
