"""The largest batch that fits: the search against all limits, what a step takes against what it allocates."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairart.engine import batch_search, shortage
from fairart.engine.batch_search import Room, largest_batch
from fairart.errors import OptionError

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Limited:
    """Stands for a room that holds so many samples."""

    def __init__(self, limit: int) -> None:
        self.limit, self.tried = limit, list[int]()

    def holds(self, size: int, step: Callable[[int], None]) -> bool:
        self.tried.append(size)
        return size <= self.limit


@given(limit=st.integers(0, 3000), most=st.integers(1, 2048), least=st.integers(1, 4))
def test_the_largest_batch_is_found_to_an_eighth(limit: int, most: int, least: int) -> None:
    most = max(most, least)
    room = Limited(limit)
    found = largest_batch(lambda size: None, room, most=most, least=least)
    assert all(least <= size <= most for size in room.tried)
    assert len(room.tried) == len(set(room.tried)) <= 14
    if limit < least:
        assert found is None
        return
    best = min(limit, most)
    assert least <= found <= best
    assert best - found <= found / 8
    # Where everything fits, the most is what is found.
    assert found == most or limit < most


@linux
def test_the_peak_of_a_step_is_measured_and_its_growth_foreseen() -> None:
    room, tried = Room(torch.device("cpu")), []

    def step(size: int) -> None:
        tried.append(size)
        # In pieces, each freed before the next is made but for two: no sum, but a peak.
        kept = torch.ones(size * MIB // 4)
        for _ in range(3):
            torch.ones(size * MIB // 4).add_(kept)

    room.limit = 200 * MIB
    assert room.holds(32, step)
    assert 60 * MIB <= room._peaks[-1][1] <= 80 * MIB
    assert room.holds(64, step)
    assert not room.holds(192, step)
    # Never tried: on the CPU the system might have ended the process.
    assert tried == [32, 64]
    assert room._expected(192) == pytest.approx(384 * MIB, rel=0.15)
    assert not room.holds(128, step)
    assert room.holds(88, step)
    assert tried == [32, 64, 88]


@linux
def test_a_step_that_takes_more_than_foreseen_does_not_fit() -> None:
    room = Room(torch.device("cpu"))
    room.limit = 50 * MIB
    assert not room.holds(1, lambda size: torch.ones(100 * MIB // 4).sum())


@linux
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_way_of_saying_that_memory_ran_out_is_understood(error: Exception) -> None:
    def step(size: int) -> None:
        if size > 20:
            raise error

    assert largest_batch(step, Room(torch.device("cpu")), most=100) in (18, 19, 20)


@linux
def test_other_errors_come_through() -> None:
    def step(size: int) -> None:
        raise ValueError("a matter of its own")

    with pytest.raises(ValueError, match="a matter of its own"):
        largest_batch(step, Room(torch.device("cpu")), most=100)


@linux
def test_what_will_be_taken_later_and_by_others_is_left_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_search, "free_memory", lambda device: 1000 * MIB)
    assert Room(torch.device("cpu")).limit == 800 * MIB
    assert Room(torch.device("cpu"), reserved=100 * MIB).limit == 700 * MIB
    assert Room(torch.device("cpu"), reserved=100 * MIB, processes=4).limit == 100 * MIB
    assert Room(torch.device("cpu"), reserved=2000 * MIB).limit == 0


def test_a_system_that_does_not_tell_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(batch_search, "Path", lambda path: tmp_path / "nothing" / str(path).strip("/"))
    with pytest.raises(OptionError, match=r"batch_size 'auto' on the CPU needs Linux.*give a number"):
        Room(torch.device("cpu"))


class Card:
    """Stands for a GPU: memory in bytes, an allocator that keeps what it once had, and the error that torch raises."""

    def __init__(self, total: int, elsewhere: int) -> None:
        self.total, self.elsewhere, self.held, self.peak, self.emptied = total, elsewhere, 0, 0, 0

    def allocate(self, nbytes: int) -> None:
        if self.elsewhere + self.held + nbytes > self.total:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.peak = max(self.peak, self.held + nbytes)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def empty() -> None:
            self.emptied += 1

        def forget() -> None:
            self.peak = self.held

        fakes = {
            "empty_cache": empty,
            "memory_allocated": lambda device: self.held,
            "memory_reserved": lambda device: self.held + 50,
            "mem_get_info": lambda device: (self.total - self.elsewhere - self.held - 50, self.total),
            "reset_peak_memory_stats": lambda device: forget(),
            "max_memory_allocated": lambda device: self.peak,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(shortage.torch.cuda, name, fake)


def test_on_a_gpu_what_is_too_much_is_tried_and_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    card, tried = Card(total=10_000, elsewhere=1000), []
    card.install(monkeypatch)
    card.held = 500

    def step(size: int) -> None:
        tried.append(size)
        card.allocate(100 + 10 * size)

    room = Room(torch.device("cuda"))
    # What torch keeps for itself is free to use.
    assert (room.free, room.limit) == (8500, 7650)
    found = largest_batch(step, room, most=4096)
    assert 755 * 8 / 9 <= found <= 755
    assert max(tried) >= 841, "a batch that raised was among them"
    assert card.emptied >= len(tried)
