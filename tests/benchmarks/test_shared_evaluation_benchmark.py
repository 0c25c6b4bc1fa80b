"""benchmarks/shared_evaluation.py at toy size: two processes take their turns and find what one does."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("lightning_fabric")
pytest.importorskip("pyautoattack")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("shared_evaluation")


def test_ratios_are_within_a_round(benchmark: ModuleType) -> None:
    times = {"shared": [1.0, 2.0, 4.0], "threads": [1.5, 3.0, 6.0], "single": [1.6, 3.2, 6.4], "package": [2.0, 4.0, 8.0]}
    assert benchmark.ratios(times) == {
        "efficiency": pytest.approx(1.5),
        "scaling": pytest.approx(0.8),
        "shared / package": pytest.approx(0.5),
        "threads / package": pytest.approx(0.75),
    }


def test_only_another_verdict_counts_as_a_difference(benchmark: ModuleType) -> None:
    labels = np.array([0, 1, 2])
    # The second is wrong in both, by other classes; the third is right in one; both corruptions count.
    assert benchmark.differences([0, 0, 2, 0, 1, 2], [0, 2, 1, 0, 1, 0], labels) == 2


def test_all_of_it_runs_at_toy_size(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "shared.json"
    monkeypatch.setattr(sys, "argv", ["shared_evaluation.py", "--smoke", "--output", str(output)])
    benchmark.main()
    written = json.loads(output.read_text())["parts"]
    assert set(written) == {"PGD-20", "AutoAttack"}
    for part in written.values():
        assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in part["seconds"].values())
        assert part["different"]["shared"] == part["different"]["single"] == 0
    assert "| PGD-20 | 60 |" in capsys.readouterr().out
