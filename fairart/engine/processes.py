"""The processes that share a run: one, or one a device started by Lightning Fabric. Each trains on its part of every batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from fairart.draws import Part

__all__ = ["ONE_PROCESS", "FabricProcesses", "ProcessLostError", "Processes", "tells_of_a_lost_process"]

Answer = TypeVar("Answer")

GONE = ("connection closed by peer", "connection reset by peer", "broken pipe", "connection refused", "remote process exited")
"""What gloo and NCCL say, in lower case, when another process is no longer there."""


class ProcessLostError(RuntimeError):
    """Another process of the run ended, so that this one cannot go on."""


def tells_of_a_lost_process(error: BaseException | None) -> bool:
    """Whether an error says that another process of the group is no longer there."""
    if isinstance(error, ProcessLostError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in GONE)


class Processes:
    """A run in one process: every part is the whole, and there is nobody to agree with."""

    rank = 0
    size = 1

    def part(self, total: int) -> Part | None:
        """This process's rows of a batch of ``total`` samples; None for all of them."""
        return None

    def reduce_(self, tensor: Tensor, op: Literal["sum", "max"] = "sum") -> Tensor:
        """Sum, or take the largest, over the processes, in place."""
        return tensor

    def share(self, loss: Tensor, part: Part | None) -> Tensor:
        """A mean over this process's samples, as its summand in the mean over the whole batch."""
        return loss if part is None else loss * (len(part) / part.total)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over the processes, in place."""

    def agree(self, module: nn.Module) -> None:
        """Give every process the parameters and buffers of the first."""

    def average_buffers(self, module: nn.Module) -> None:
        """Average floating-point buffers, such as batch-norm's statistics, over the processes."""

    def same(self, value: Any) -> Any:
        """The first process's value."""
        return value

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        return [value]

    def wait(self) -> None:
        """Until every process is here."""


ONE_PROCESS = Processes()


class FabricProcesses(Processes):
    """The processes of a launched Lightning Fabric.

    The model is not wrapped for distribution: ten of twelve passes of a step are the attack's and need no word from the others,
    so the gradients are summed once, in one piece, after the backward pass.

    Args:
        fabric: a ``lightning.fabric.Fabric`` on which ``launch()`` was called.

    Raises:
        TypeError: something else.
    """

    def __init__(self, fabric: Any) -> None:
        for name in ("all_reduce", "broadcast", "global_rank", "world_size"):
            if not hasattr(fabric, name):
                raise TypeError(f"fabric must be a launched lightning.fabric.Fabric, got {type(fabric).__qualname__}")
        self.fabric = fabric
        self.rank, self.size = int(fabric.global_rank), int(fabric.world_size)

    def part(self, total: int) -> Part | None:
        """Contiguous rows; sizes differ by one at most."""
        if self.size == 1:
            return None
        first, stop = (total * rank // self.size for rank in (self.rank, self.rank + 1))
        return Part(first, stop, total)

    def reduce_(self, tensor: Tensor, op: Literal["sum", "max"] = "sum") -> Tensor:
        """See :meth:`Processes.reduce_`."""
        if self.size == 1:
            return tensor
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Fabric's own meets everybody at a barrier first: a second round trip, and on a GPU the host waits for the device.
            operation = torch.distributed.ReduceOp.MAX if op == "max" else torch.distributed.ReduceOp.SUM
            self._together(lambda: torch.distributed.all_reduce(tensor, op=operation))
        else:
            tensor.copy_(self._together(lambda: self.fabric.all_reduce(tensor.clone(), reduce_op=op)))
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """See :meth:`Processes.sum_gradients`."""
        self._apply([p.grad for p in parameters if p.grad is not None], 1.0)

    def agree(self, module: nn.Module) -> None:
        """See :meth:`Processes.agree`."""
        if self.size == 1:
            return
        with torch.no_grad():
            for tensor in [*module.parameters(), *module.buffers()]:
                tensor.copy_(self.same(tensor.detach().clone()).to(tensor.device))

    def average_buffers(self, module: nn.Module) -> None:
        """See :meth:`Processes.average_buffers`."""
        self._apply([buffer for buffer in module.buffers() if buffer.is_floating_point()], 1.0 / self.size)

    def same(self, value: Any) -> Any:
        """See :meth:`Processes.same`."""
        return self._together(lambda: self.fabric.broadcast(value, src=0))

    def gathered(self, value: Any) -> list[Any]:
        """See :meth:`Processes.gathered`."""
        # The primitive of Fabric that takes any value; a handful of small values, once an epoch.
        return self._together(lambda: [self.fabric.broadcast(value, src=rank) for rank in range(self.size)])

    def wait(self) -> None:
        """See :meth:`Processes.wait`."""
        self._together(self.fabric.barrier)

    def _together(self, call: Callable[[], Answer]) -> Answer:
        """Do something that all processes take part in.

        Raises:
            ProcessLostError: another process is gone.
        """
        try:
            return call()
        except RuntimeError as error:
            if not tells_of_a_lost_process(error):
                raise
            raise ProcessLostError(
                f"another of the {self.size} processes of this run ended; its own message says why, and one that was killed, "
                "as for too much memory, leaves none"
            ) from error

    def _apply(self, tensors: list[Tensor], factor: float) -> None:
        if self.size == 1 or not tensors:
            return
        with torch.no_grad():
            dtype = functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
            flat = torch.cat([tensor.reshape(-1).to(dtype) for tensor in tensors])
            flat = self.reduce_(flat).mul_(factor)
            for tensor, piece in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(piece.view_as(tensor))
