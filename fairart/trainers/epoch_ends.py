"""What happens between two epochs of a fit."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.engine.checkpoints.snapshot import snapshot
from fairart.engine.data import warn_absent_classes
from fairart.engine.data.sources import GeneratorSource, Source
from fairart.engine.history import EpochRecord
from fairart.engine.loop import Engine
from fairart.engine.under_way import EpochUnderWay
from fairart.plugins import get_plugin_manager
from fairart.trainers.whole_epoch import WholeEpoch

__all__ = ["EpochEnds"]


class EpochEnds:
    """What happens when an epoch of a fit ends: history, plugins, checkpoint.

    Args:
        trainer: whose fit it is.
        engine: what trains.
        source: the data.
        checkpoints: where the first process writes them; None in the others, and without checkpoints.
        whole: keeps the state of the last whole epoch.
        first: number of the fit's first epoch.
        last: one more than the number of its last epoch.
    """

    def __init__(
        self,
        trainer: Any,
        engine: Engine,
        source: Source,
        checkpoints: FitCheckpoints | None,
        whole: WholeEpoch,
        *,
        first: int,
        last: int,
    ) -> None:
        self.trainer, self.engine, self.checkpoints, self.whole, self.first = trainer, engine, checkpoints, whole, first
        self.wanted = bool(trainer.processes.same(checkpoints is not None))
        # What a generator holds is only known once it was drawn from; arrays were looked at before.
        self._unseen = first if isinstance(source, GeneratorSource) else None
        self._last = last - 1

    def save(self, under_way: EpochUnderWay | None) -> None:
        """Write a checkpoint, if this fit has checkpoints at all."""
        if not self.wanted:
            return
        # In every process: each has a random state of its own, and the first one writes.
        state = snapshot(self.engine, under_way)
        if self.checkpoints is not None:
            kept = None if self.trainer.best is None else self.trainer.best.state_dict()
            history = [record.state_dict() for record in self.trainer.history]
            self.checkpoints.save({"engine": state, "history": history, "best": kept})

    def on_batch_end(self, under_way: EpochUnderWay) -> None:
        """Write a checkpoint in the middle of an epoch, when one is due."""
        due = self.checkpoints is not None and self.checkpoints.due(epoch_end=False)
        # Weights that have gone wrong are no state to go on from.
        if due and under_way.meter.first_bad_batch() is None:
            self.save(under_way)

    def _say_that_nothing_is_averaged(self, record: EpochRecord) -> None:
        """Once, when half of the epochs that could enter the average are over and none did: there is time to stop."""
        averaging = self.trainer.method.averaging
        if averaging is None or averaging.accepted or record.averaged is None:
            return
        nb_epochs = self._last + 1
        possible = nb_epochs - averaging.first_epoch(nb_epochs)
        if (
            averaging.refused == max(2, math.ceil(possible / 2))
            and record.epoch < self._last
            and self.trainer.processes.rank == 0
        ):
            hint = averaging.hint()
            warnings.warn(
                f"weight averaging took in none of the first {record.epoch + 1} of {nb_epochs} epochs"
                + (f": {hint}" if hint else ""),
                UserWarning,
                stacklevel=2,
            )

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Add the record, call the plugins, and write a checkpoint when one is due."""
        self.trainer.history.append(record)
        self._say_that_nothing_is_averaged(record)
        ended = record.overfitted and self.trainer.on_overfitting == "return"
        if ended:
            self.whole.put_back()
        else:
            self.whole.keep(f"epoch {record.epoch} (from 0), the last whole one")
        if self.trainer.best is not None:
            self.trainer.best.look_at(record, self.engine.network.module)
        if record.epoch == self._unseen:
            warn_absent_classes(record.robust.support, stacklevel=7)
        try:
            get_plugin_manager().notify("fairart_epoch_end", trainer=self.trainer, record=record)
        finally:
            # Also when a plugin raised: the epoch is not lost with it.
            if self.wanted and self.trainer.processes.same(
                ended or record.epoch == self._last or (self.checkpoints is not None and self.checkpoints.due(epoch_end=True))
            ):
                self.save(None)
