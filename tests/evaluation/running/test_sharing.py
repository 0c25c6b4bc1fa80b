"""An evaluation that several processes share is that of one process, bit for bit."""

from __future__ import annotations

import json
import math
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart.evaluation.running.partial import PartialResults, Unit
from fairart.evaluation.running.progress import Progress
from fairart.evaluation.running.sharing import ALONE, Sharing
from fairart.evaluation.running.units import fill

sys.path.insert(0, str(Path(__file__).parent))
import shared_evaluations
from shared_evaluations import Meeting, ThreadProcesses

COLUMNS = {"predictions": np.int64, "radii": np.float64, "flags": np.bool_, "halves": np.float32}


def values_of(place):
    """Numbers of every kind that a sum might change."""
    radii = np.where(place % 7 == 3, -0.0, np.where(place % 7 == 5, np.nan, 1.0 / (1 + place)))
    return {
        "predictions": (place * 2654435761) - 2**40,
        "radii": np.where(place % 7 == 6, np.inf, radii),
        "flags": place % 3 == 0,
        "halves": (place / 3).astype(np.float32),
    }


def filled(sharing, rows, batch_size, asked):
    def compute(place):
        asked.append(place.tolist())
        return values_of(place)

    unit = Unit("attack", "a", rows, {}, COLUMNS)
    return fill(unit, compute, batch_size=batch_size, kept=PartialResults(), progress=Progress(), sharing=sharing)


@given(rows=st.integers(0, 40), batch_size=st.integers(1, 12), size=st.integers(2, 4))
def test_columns_and_batches_are_those_of_one_process(rows, batch_size, size):
    alone_asked: list[list[int]] = []
    alone = filled(ALONE, rows, batch_size, alone_asked)
    meeting = Meeting(size)
    asked: list[list[list[int]]] = [[] for _ in range(size)]
    found: list = [None] * size

    def run(rank):
        found[rank] = filled(Sharing(ThreadProcesses(meeting, rank)), rows, batch_size, asked[rank])

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for columns in found:
        assert columns is not None
        for name, values in alone.items():
            assert columns[name].tobytes() == values.tobytes()
    assert sorted(place for each in asked for place in each) == alone_asked
    # No process has more than its share, to a batch.
    assert max(len(each) for each in asked) <= math.ceil(len(alone_asked) / size)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    fabric_module = pytest.importorskip("lightning_fabric")
    folder = tmp_path_factory.mktemp("two")
    fabric = fabric_module.Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(shared_evaluations.Leaving(str(folder)))
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_find_what_one_does_in_every_part(two):
    _, (first, second) = two
    alone = shared_evaluations.everything()
    assert first == second
    assert first == alone
    for part in ("results", "corruptions", "certificates", "ood", "shifts", "affine", "temperature", "defences", "checks"):
        assert alone[part], part


def test_one_process_goes_on_from_what_two_have_kept(two, monkeypatch):
    folder, (first, _) = two
    from fairart.evaluation.running import runner

    def never(*arguments, **options):
        raise AssertionError("scored again")

    monkeypatch.setattr(runner.Runner, "_attack_batch", never)
    assert shared_evaluations.everything(checkpoint=folder / "partial") == first
