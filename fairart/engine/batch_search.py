"""The largest batch that fits into memory, found by trial: doubling, then bisection."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from pathlib import Path

import torch

from fairart.engine.shortage import free_memory, is_out_of_memory, let_go
from fairart.errors import OptionError

__all__ = ["AUTO", "Room", "Step", "largest_batch"]

AUTO = "auto"
"""The batch size that stands for a search."""

Step = Callable[[int], None]
"""Computes one step on so many samples, and keeps nothing of it."""

SHARE = {"cpu": 0.8, "cuda": 0.9}
"""Part of the free memory that a step may take. Its need differs a little from step to step, and on the CPU other programs need
some as well: what they take too much, the system takes by ending a process."""
FIRST = 16
"""Where the search begins."""
CLOSE = 8
"""The search ends where what fits and what does not are nearer than this part of what fits."""
ROUND = 8
"""Sizes between powers of two are multiples of it where they can be: GPUs compute in such blocks."""


class Room:
    """How much memory there is for a step on a device, and how much steps took.

    On a GPU, a step that takes too much raises an error and nothing else is harmed. On the CPU the system may end the process
    instead. So there the peak of each step is measured, and a step is not tried if the line through the last two peaks is above
    what is free.

    Args:
        device: where steps are computed.
        reserved: bytes that will be taken later, such as the images of a whole run.
        processes: that share the memory of the CPU.

    Raises:
        OptionError: on the CPU, a system that does not say how much memory a process has taken.
    """

    def __init__(self, device: torch.device, *, reserved: int = 0, processes: int = 1) -> None:
        self.device, self._peaks = device, list[tuple[int, int]]()
        self._release()
        self._base = self._used()
        self.free = free_memory(device)
        self.limit = int(max(0.0, SHARE[device.type] * self.free - reserved * processes))
        if device.type == "cpu":
            self.limit //= processes

    def holds(self, size: int, step: Step) -> bool:
        """Whether a step of so many samples fits; it is computed, unless it is expected to take too much.

        Args:
            size: samples.
            step: the step. An error that does not speak of memory comes through.
        """
        if self.device.type == "cpu" and self._expected(size) > self.limit:
            return False
        try:
            self._forget_peak()
            step(size)
            peak = self._peak() - self._base
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            let_go(error)
            return False
        finally:
            self._release()
        self._peaks.append((size, peak))
        return peak <= self.limit

    def _expected(self, size: int) -> float:
        """Bytes, by the last two peaks; with one alone, as if nothing of it were fixed."""
        if not self._peaks:
            return 0.0
        before, low = self._peaks[-2] if len(self._peaks) > 1 else (0, 0)
        at, high = self._peaks[-1]
        return high + max(0.0, (high - low) / (at - before)) * (size - at)

    def _release(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _used(self) -> int:
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else _of_process("VmRSS")

    def _forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            # Resets the high-water mark of the memory, see proc(5).
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError as error:
            raise _not_here() from error

    def _peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else _of_process("VmHWM")


def _of_process(name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    raise _not_here()


def _not_here() -> OptionError:
    return OptionError(f"batch_size {AUTO!r} on the CPU needs Linux, which says how much memory a step has taken: give a number")


def largest_batch(step: Step, room: Room, *, most: int, least: int = 1) -> int | None:
    """The largest batch whose step fits, to an eighth.

    Args:
        step: the step that is tried.
        room: the memory.
        most: largest size that is tried.
        least: smallest size of use.

    Returns:
        A size in [least, most], or None where not even ``least`` fits.
    """
    good, bad = least - 1, most + 1
    size = min(max(least, FIRST), most)
    while bad - good > 1:
        if room.holds(size, step):
            good = size
        else:
            bad = size
        if least <= good and bad <= most and bad - good <= good // CLOSE:
            break
        size = min(2 * good, most) if bad > most and good >= least else _between(good, bad)
    return good if good >= least else None


def _between(good: int, bad: int) -> int:
    middle = (good + bad) // 2
    rounded = middle - middle % ROUND
    return rounded if rounded > good else middle
