"""Several processes for one run, by Lightning Fabric: those that ``torchrun`` started, or some of our own."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from tqdm import tqdm

from fairart.datasets.memory import cores
from fairart.engine.processes import ProcessLostError
from fairart.errors import OptionError
from fairart.runs.joined import joined_size

__all__ = ["join", "leave", "start"]

FABRIC = ("lightning_fabric", "lightning.fabric")
"""Names of its package, by itself and within Lightning."""
CLASS = re.compile(r"[\w.]+\.\w*(Error|Exception|Interrupt)")
"""How Python calls what was raised, before its message."""
MOST = 8
"""Processes for each processor core: some more than cores are slow, and many more only fill the memory."""


def join(device: str) -> Any:
    """Meet the other processes that ``torchrun`` started.

    Args:
        device: ``"cpu"`` or ``"cuda"``.

    Returns:
        A launched ``Fabric``.

    Raises:
        OptionError: Lightning Fabric is not installed.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", joined_size()))
    fabric = _fabric(device, devices=here, num_nodes=joined_size() // here, strategy="ddp")
    fabric.launch()
    return fabric


def leave() -> None:
    """End the group of processes, once each has come here; nothing where there is none.

    Not to be called after a failure: it would wait for ever.
    Fabric ends groups of NCCL only. Threads of a gloo group that is left to the end of the interpreter now and then abort the
    process after its work is done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def start(function: Callable[..., None], *arguments: Any, device: str, devices: int, advice: str) -> None:
    """Run a function in several new processes.

    Args:
        function: of a module; called with a launched ``Fabric`` and the arguments.
        *arguments: what can be sent to another process.
        device: ``"cpu"`` or ``"cuda"``.
        devices: processes, one a device.
        advice: what to do after a process was killed, for the message.

    Raises:
        OptionError: Lightning Fabric is not installed, there are not so many devices, or a process refused an option.
        RuntimeError: a process failed, with the last line of what it said; or was killed. The others are ended.
    """
    if device == "cuda" and devices > torch.cuda.device_count():
        raise OptionError(f"devices {devices}: torch finds {torch.cuda.device_count()} CUDA devices here")
    if device == "cpu" and devices > MOST * cores():
        raise OptionError(f"devices {devices}: this machine has {cores()} processor cores, and each process needs a share of one")
    fabric = _fabric(device, devices=devices, strategy="ddp_spawn")
    try:
        fabric.launch(_Quietly(function, arguments))
    except ProcessRaisedException as error:
        detail = str(error).strip().splitlines()[-1]
        # One that says so was told by the broken connection before we saw the other one end.
        if detail.startswith(f"{ProcessLostError.__module__}.{ProcessLostError.__name__}"):
            raise RuntimeError(_killed(devices, "", advice)) from error
        kind, _, message = detail.partition(": ")
        # A user's mistake is told as in one process.
        if kind == f"{OptionError.__module__}.{OptionError.__name__}":
            raise OptionError(message) from error
        raise RuntimeError(f"one of {devices} processes failed: {message if CLASS.fullmatch(kind) else detail}") from error
    except ProcessExitedException as error:
        how = f" ({error.signal_name or f'exit code {error.exit_code}'})"
        raise RuntimeError(_killed(devices, how, advice)) from error


def _killed(devices: int, how: str, advice: str) -> str:
    return f"one of {devices} processes was killed{how}, often because the memory is full; the others were ended. {advice}"


class _Quietly:
    """A function with its arguments that silences what Fabric tells at every start as soon as it arrives in another process.

    Warnings look there as they do here, if the function that shows them can be sent. The arguments travel with it: Fabric looks
    for tensors in what it is given, and takes no frozen dataclass.
    """

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments, show = function, arguments, warnings.showwarning
        here = getattr(sys.modules.get(show.__module__), show.__qualname__, None)
        self.show = show if here is show else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _silence()

    def __call__(self, fabric: Any) -> None:
        # The bar's own lock spans processes, and a process that is killed would leave it behind.
        tqdm.set_lock(threading.RLock())
        if self.show is not None:
            warnings.showwarning = self.show
        self.function(fabric, *self.arguments)
        leave()


def _silence() -> None:
    for name in FABRIC:
        # Those below it: importing Fabric sets its own level.
        for part in ("distributed", "rank_zero"):
            logging.getLogger(f"{name}.utilities.{part}").setLevel(logging.WARNING)
    # It tells of every process that it ends after another one was lost; the error says so.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)


def _fabric(device: str, **options: Any) -> Any:
    _silence()
    for name in FABRIC:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        return module.Fabric(accelerator=device, **options)
    raise OptionError('several devices need Lightning Fabric: pip install "fairart[devices]"')
