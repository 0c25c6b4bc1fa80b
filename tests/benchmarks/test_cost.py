"""What benchmarks/cost.py reads off tables and records of a benchmark, against numbers by hand."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

from fairart.benchmark.state import Record, cell_folder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUN = ["cell", "method", "dataset", "model", "trainer", "objective", "averaging", "seed"]
HEAD = [*RUN, "attack", "severity", "class", "name", "n", "correct", "accuracy", "doubtful"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import cost

    return cost


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two methods of three seeds, two classes of 100 images each."""
    with (tmp_path / "results.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(HEAD)
        for method, seconds, worst in (("quick", (1.0, 2.0, 3.0), (10, 20, 30)), ("slow", (8.0, 8.0, 8.0), (40, 40, 40))):
            for seed in range(3):
                name = f"{method}_{seed}"
                for index, correct in enumerate((90, worst[seed])):
                    who = [name, method, "digits", "small-cnn", "at", "at", "none", seed]
                    lines.writerow([*who, "pgd-20", "", index, "ab"[index], 100, correct, correct / 100, 0])
                place = cell_folder(tmp_path, name)
                place.mkdir(parents=True)
                Record(config={}, training={"seconds": seconds[seed]}).save(place)
    return tmp_path


def test_seconds_and_worst_class_over_the_seeds_slowest_first(script: Any, folder: Path) -> None:
    ((title, own),) = script.costs([folder], "pgd-20").items()
    assert title == "digits, small-cnn"
    assert [one.name for one in own] == ["slow", "quick"]
    quick = own[1]
    assert (quick.seconds.mean, quick.seconds.std) == (2.0, 1.0)
    assert quick.average.mean == pytest.approx((0.5 + 0.55 + 0.6) / 3)
    low, high = t.interval(0.95, 2, loc=0.2, scale=0.1 / math.sqrt(3))
    assert quick.worst.over_seeds.interval == pytest.approx((max(0.0, low), high))
    said = script.table({title: own}, "pgd-20")
    assert "| slow | 3 | 8.0 ± 0.0 | 1.00 | 65.0 | 40.0 |" in said
    assert "| quick | 3 | 2.0 ± 1.0 | 0.25 | 55.0 [" in said


def test_script_draws_a_figure_and_refuses_an_attack_that_is_not_there(
    script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cost.py", str(folder), "--output", str(folder / "cost.png")])
    script.main()
    assert (folder / "cost.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(sys, "argv", ["cost.py", str(folder), "--attack", "pgd-10"])
    with pytest.raises(SystemExit):
        script.main()
    assert "no finished cell has a training time and the attack 'pgd-10'; attacks: pgd-20" in capsys.readouterr().err
