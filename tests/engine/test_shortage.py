"""Errors that say that memory ran out become one that says what did not fit, and let go of what they hold."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch

from fairart.datasets import memory
from fairart.engine.shortage import is_out_of_memory, let_go, memory_shortage, shortage_explained
from fairart.errors import NotEnoughMemoryError, PluginError

CPU = torch.device("cpu")
TORCH = "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"


def test_memory_is_named_by_type_by_words_and_through_a_chain() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError(TORCH))
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    named = PluginError("plugin 'p': attack 'a' raised MemoryError: ")
    named.__cause__ = MemoryError()
    assert is_out_of_memory(named)
    assert not is_out_of_memory(None)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    # A user's own words are in it.
    assert not is_out_of_memory(ValueError("there is no file 'out of memory.npz'"))


def test_what_onednn_says_is_of_memory_only_where_there_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, expected in ((100 << 20, True), (4 << 30, False)):
        monkeypatch.setattr("fairart.engine.shortage.available_memory", lambda free=free: free)
        assert is_out_of_memory(RuntimeError("could not create a primitive")) is expected


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert not is_out_of_memory(one)
    let_go(one)


def test_what_did_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairart.engine.shortage.available_memory", lambda: 3 << 30)
    said = r"^batch 256 does not fit into the 3\.0 GiB of free memory$"
    with pytest.raises(NotEnoughMemoryError, match=said) as caught, memory_shortage(256, CPU):
        raise RuntimeError(TORCH)
    assert caught.value.batch_size == 256
    with pytest.raises(ValueError, match="another matter"), memory_shortage(256, CPU):
        raise ValueError("another matter")
    with pytest.raises(KeyboardInterrupt), memory_shortage(256, CPU):
        raise KeyboardInterrupt


def test_the_fuller_error_is_made_once_the_tensors_of_the_failed_step_are_free() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def failing() -> None:
        activations = torch.ones(10)
        held.append(weakref.ref(activations))
        raise MemoryError

    def explain(error: Exception) -> NotEnoughMemoryError:
        assert held[0]() is None
        return NotEnoughMemoryError(f"{error}; 96 would", batch_size=256)

    with pytest.raises(NotEnoughMemoryError, match=r"^batch 256 does not fit.*; 96 would$") as caught:  # noqa: SIM117
        with shortage_explained(explain), memory_shortage(256, CPU):
            failing()
    assert isinstance(caught.value.__cause__, NotEnoughMemoryError)
    with shortage_explained(explain):
        pass
    with pytest.raises(ValueError, match="another"), shortage_explained(explain):
        raise ValueError("another")


def test_limits_of_the_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc")
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    taken = int(lines["VmSize"].split()[0]) * 1024
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (taken + (64 << 20) if kind == resource.RLIMIT_AS else resource.RLIM_INFINITY, -1)
    )
    assert memory.available_memory() == pytest.approx(64 << 20, abs=16 << 20)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, -1))
    assert memory.available_memory() > 64 << 20
