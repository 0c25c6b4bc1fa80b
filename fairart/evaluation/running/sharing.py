"""Batches dealt out to the processes of an evaluation, and their answers put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from fairart.engine.processes import ONE_PROCESS, FabricProcesses, Processes
from fairart.evaluation.running.partial import Columns

__all__ = ["ALONE", "Sharing"]

IntArray = npt.NDArray[np.int64]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Sharing:
    """The processes that share an evaluation. All of them know all answers after every round.

    A round is one whole batch for each process. Batches are those of an evaluation in one process, and so are their random
    numbers: the answers do not depend on the number of processes.

    Args:
        processes: one, or those of a launched Fabric.
        device: of the messages, where the network is.
    """

    processes: Processes = ONE_PROCESS
    device: torch.device | str = "cpu"

    @classmethod
    def of(cls, fabric: Any, device: torch.device) -> Sharing:
        """The processes of a launched Fabric; None for this one alone."""
        return cls(ONE_PROCESS if fabric is None else FabricProcesses(fabric), device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.processes.rank == 0

    def round_of(self, rows: int) -> int:
        """Rows of one round, of batches of so many rows."""
        return rows * self.processes.size

    def own(self, first: int, stop: int, rows: int) -> IntArray:
        """The batch of this process in the round of the rows from ``first`` to ``stop``; empty where there is none left."""
        begin = min(first + self.processes.rank * rows, stop)
        return np.arange(begin, min(begin + rows, stop))

    def complete(self, columns: Columns, first: int, stop: int, own: IntArray) -> None:
        """Give every process the answers of all, in place.

        Args:
            columns: name -> values of all rows, of plain numbers.
            first: first row of the round.
            stop: row after the last one.
            own: the rows that this process has filled.
        """
        if self.processes.size == 1:
            return
        message = np.concatenate([_bytes(columns[name], first, stop, own) for name in sorted(columns)])
        # Bytes: every one is zero in all processes but one, so their sum is exact for any number.
        summed = self.processes.reduce_(torch.from_numpy(message).to(self.device)).cpu().numpy()
        done = 0
        for name in sorted(columns):
            part = columns[name][first:stop]
            part[...] = summed[done : done + part.nbytes].view(part.dtype)
            done += part.nbytes

    def same(self, value: Answer) -> Answer:
        """The first process's value: plain values and arrays."""
        answer: Answer = self.processes.same(value)
        return answer


def _bytes(values: npt.NDArray[np.generic], first: int, stop: int, own: IntArray) -> npt.NDArray[np.uint8]:
    mine = np.zeros(stop - first, dtype=values.dtype)
    mine[own - first] = values[own]
    return mine.view(np.uint8)


ALONE = Sharing()
