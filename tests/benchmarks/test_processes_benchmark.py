"""benchmarks/processes.py at toy size: two processes take their turns, and a run that is split is the whole one."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("lightning_fabric")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("processes")


def test_ratios_are_within_a_round(processes: ModuleType) -> None:
    times = {"shared": [1.0, 2.0, 4.0], "threads": [0.9, 1.8, 3.6], "single": [1.6, 3.2, 6.4], "apart": [0.5, 1.0, 2.0]}
    found = processes.ratios(times)
    assert found == {"efficiency": pytest.approx(0.9), "scaling": pytest.approx(0.8), "sharing": pytest.approx(0.5)}


def test_a_sample_in_another_cell_counts_once(processes: ModuleType) -> None:
    one = {"epochs": [[[5, 0], [1, 4]]], "clean": [[5, 0], [1, 4]], "pgd": [[3, 2], [2, 3]]}
    other = {**one, "pgd": [[4, 1], [2, 3]]}
    assert processes.difference(one, one) == {
        "equal": True,
        "moved": {"epochs": 0, "clean": 0, "pgd": 0},
        "largest_class_difference": 0,
    }
    found = processes.difference(one, other)
    assert not found["equal"]
    assert found["moved"] == {"epochs": 0, "clean": 0, "pgd": pytest.approx(0.1)}
    assert found["largest_class_difference"] == pytest.approx(0.2)


def test_all_of_it_runs_at_toy_size(
    processes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "processes.json"
    monkeypatch.setattr(sys, "argv", ["processes.py", "--smoke", "--output", str(output)])
    processes.main()
    written = json.loads(output.read_text())
    speed = written["speed"]["small-cnn"]["at"]
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in speed["seconds"].values())
    assert written["splits"]["float64, no batch-norm"]["at"]["2"]["equal"]
    assert "| small-cnn | at |" in capsys.readouterr().out
