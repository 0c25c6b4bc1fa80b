"""benchmarks/scaling.py fits what it says it fits, and its points run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("scaling")


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_is_the_power_where_the_fixed_cost_is_small(scaling: ModuleType, power: float) -> None:
    sizes = [10, 100, 1_000, 10_000]
    assert scaling.slope(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)
    assert scaling.slope(sizes, [5 + 3 * size**power for size in sizes]) == pytest.approx(power, abs=0.002)
    assert scaling.slope(sizes[:2], [3 * size**power for size in sizes[:2]]) == pytest.approx(power)


def test_a_point_trains_and_attacks(scaling: ModuleType) -> None:
    found = scaling.point(images=40, classes=5, side=8, batch=20)
    assert set(found) == set(scaling.FIGURES)
    assert all(value > 0 for value in found.values())


def test_the_table_has_a_line_for_each_point(scaling: ModuleType) -> None:
    curve = {"sizes": [1, 2], **{name: [1.0, 2.0] for name in scaling.FIGURES}}
    curve["slopes"] = {"train_seconds": 1.0, "evaluate_seconds": 1.0}
    lines = scaling.table({"images": curve}).splitlines()
    assert lines[2:] == ["| images | 1 | 1 |  | 1 |  | 0 |", "| images | 2 | 2 | 1.00 | 2 | 1.00 | 1 |"]


def test_a_point_of_two_processes_counts_both(scaling: ModuleType) -> None:
    pytest.importorskip("lightning_fabric")
    found = scaling.point(images=40, classes=5, side=8, batch=20, processes=2)
    assert set(found) == set(scaling.FIGURES)
    # An interpreter with torch takes more than 150 MiB.
    assert found["train_mib"] > 300
    assert found["train_seconds"] > 0
