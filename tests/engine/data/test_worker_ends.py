"""A process of a loader that ended is one line with its cause and its cure."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from fairart.engine.data import worker_ends
from fairart.engine.data.sources import as_generator
from fairart.engine.data.worker_ends import is_worker_end, why_it_ended

BUS = (
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory."
)


class Usage(NamedTuple):
    free: int


def test_the_likely_cause_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker_ends, "SHARED", tmp_path)
    monkeypatch.setattr(worker_ends.shutil, "disk_usage", lambda place: Usage(3 << 20))
    monkeypatch.setattr(worker_ends, "available_memory", lambda: 5 << 20)
    bus = why_it_ended(RuntimeError(BUS))
    assert bus == f"Shared memory ({tmp_path}) has 3.0 MiB free, and that was too little (docker run --shm-size=8g gives more)."
    killed = why_it_ended(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    assert killed == "The system killed it: most likely memory ran out (5.0 MiB are free now)."
    assert "3.0 MiB free; containers often have little" in why_it_ended(EOFError())
    monkeypatch.setattr(worker_ends, "SHARED", tmp_path / "nothing")
    assert why_it_ended(EOFError()) == ""
    assert is_worker_end(RuntimeError(BUS))
    assert not is_worker_end(RuntimeError("another"))


class Ending(Dataset[Any]):
    """Kills the process that reads its third sample, or raises an error of its own there.

    Args:
        error: what is raised; None for a kill.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index == 2 and self.error is None:
            os.kill(os.getpid(), signal.SIGBUS)
        if index == 2:
            raise self.error
        return torch.zeros(1, 2, 2), index % 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs signals and fork")
def test_the_user_s_own_loader_is_explained_as_well() -> None:
    generator = as_generator(DataLoader(Ending(), batch_size=2, num_workers=1, multiprocessing_context="fork"))
    said = r"^one of 1 processes of the data loader ended\. .*Take fewer \(num_workers\), or none"
    with pytest.raises(RuntimeError, match=said):  # noqa: PT012  # which batch is lost, the system decides
        generator.get_batch()
        generator.get_batch()


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.parametrize("error", [RuntimeError("a fault of its own"), EOFError("a file that ends")])
def test_what_the_data_set_raises_comes_through(error: Exception) -> None:
    generator = as_generator(DataLoader(Ending(error), batch_size=1, num_workers=1, multiprocessing_context="fork"))
    assert np.shape(generator.get_batch()[0]) == (1, 1, 2, 2)
    generator.get_batch()
    with pytest.raises(type(error), match=str(error)):
        generator.get_batch()
