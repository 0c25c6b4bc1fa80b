"""An epoch that has begun: what a checkpoint in the middle of it has to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from fairart.engine.meter import EpochMeter

__all__ = ["EpochUnderWay"]


class EpochUnderWay:
    """Order, position and sums of one epoch.

    Args:
        epoch: its number, from 0.
        meter: its running sums.
        learning_rate: with which it began.
    """

    def __init__(self, epoch: int, meter: EpochMeter, learning_rate: float = 0.0) -> None:
        self.epoch, self.meter, self.learning_rate = epoch, meter, learning_rate
        self.batches = 0
        """Batches of the pool that are done."""
        self._order: Tensor | None = None
        self._begin = time.perf_counter()

    def begin_pool(self, draw: Callable[[], Tensor]) -> Tensor:
        """The order of a pool's samples: drawn, or the one that was being followed."""
        if self._order is None:
            self._order = draw()
        return self._order

    def end_pool(self) -> None:
        """The next pool has an order of its own."""
        self._order, self.batches = None, 0

    def seconds(self) -> float:
        """Wall-clock time spent on the epoch, before an interruption too."""
        return time.perf_counter() - self._begin

    def state_dict(self) -> dict[str, Any]:
        """Everything of the epoch."""
        return {
            "epoch": self.epoch,
            "batches": self.batches,
            "order": self._order,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds(),
            "meter": self.meter.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the epoch back."""
        self.epoch, self.batches, self._order = int(state["epoch"]), int(state["batches"]), state["order"]
        # Earlier checkpoints do not say it: the rate of the optimizer is the nearest there is.
        self.learning_rate = float(state.get("learning_rate", self.learning_rate))
        self._begin = time.perf_counter() - float(state["seconds"])
        self.meter.load_state_dict(state["meter"])
