"""Batches dealt out to the processes of an evaluation, and their answers put together again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from fairart.engine.processes import ONE_PROCESS, FabricProcesses, Processes
from fairart.evaluation.running.partial import Columns

__all__ = ["ALONE", "Rounds", "Sharing"]

IntArray = npt.NDArray[np.int64]
SHORT, LONG = 0.25, 2.0
"""Seconds of a round below which the next one has more batches, and above which it has fewer. A message takes milliseconds; what
is lost with a process that is killed is a round."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Sharing:
    """The processes that share an evaluation. All of them know all answers after every round, see :class:`Rounds`.

    Each works on whole batches. These are those of an evaluation in one process, and so are their random numbers: the answers do
    not depend on the number of processes.

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

    def same(self, value: Answer) -> Answer:
        """The first process's value: plain values and arrays."""
        answer: Answer = self.processes.same(value)
        return answer


class Rounds:
    """Deals batches out, round by round: the more of them to each process, the less time one takes.

    Args:
        sharing: the processes.
        rows: of a batch.
    """

    def __init__(self, sharing: Sharing, rows: int) -> None:
        self.processes, self.device, self.rows = sharing.processes, sharing.device, rows
        self.batches, self._begun = 1, time.monotonic()

    def stop(self, first: int, end: int) -> int:
        """Where the round that begins with a row ends.

        Args:
            first: its first row.
            end: row after the last one of all.
        """
        self._begun = time.monotonic()
        # No more than leaves the last round even.
        left = math.ceil((end - first) / (self.rows * self.processes.size))
        self.batches = max(1, min(self.batches, left))
        return min(first + self.rows * self.batches * self.processes.size, end)

    def own(self, first: int, stop: int) -> list[IntArray]:
        """The batches of this process in a round; none where the others have them all."""
        begin = first + self.processes.rank * self.rows * self.batches
        end = min(begin + self.rows * self.batches, stop)
        return [np.arange(start, min(start + self.rows, end)) for start in range(begin, end, self.rows)]

    def complete(self, columns: Columns, first: int, stop: int) -> None:
        """Give every process the answers of all, in place.

        Args:
            columns: name -> values of all rows, of plain numbers.
            first: first row of the round.
            stop: row after the last one.
        """
        if self.processes.size == 1:
            return
        own = self.own(first, stop)
        mine = np.arange(own[0][0], own[-1][-1] + 1) if own else np.arange(0)
        # What the first process needed: all must come to the same number of batches.
        seconds = np.array([time.monotonic() - self._begun if self.processes.rank == 0 else 0.0])
        parts = [_bytes(columns[name], first, stop, mine) for name in sorted(columns)]
        # Bytes: every one is zero in all processes but one, so their sum is exact for any number.
        message = torch.from_numpy(np.concatenate([*parts, seconds.view(np.uint8)])).to(self.device)
        summed = self.processes.reduce_(message).cpu().numpy()
        done = 0
        for name in sorted(columns):
            part = columns[name][first:stop]
            part[...] = summed[done : done + part.nbytes].view(part.dtype)
            done += part.nbytes
        took = float(summed[done:].copy().view(np.float64)[0])
        if took < SHORT:
            self.batches *= 2
        elif took > LONG:
            self.batches = max(1, self.batches // 2)


def _bytes(values: npt.NDArray[np.generic], first: int, stop: int, own: IntArray) -> npt.NDArray[np.uint8]:
    mine = np.zeros(stop - first, dtype=values.dtype)
    mine[own - first] = values[own]
    return mine.view(np.uint8)


ALONE = Sharing()
