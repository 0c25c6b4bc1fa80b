"""What the script reads off training histories, against sums by hand."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fair_tat_budgets.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fair_tat_budgets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_of_the_last_epoch(script: ModuleType) -> None:
    earlier = {"robust": [[0, 8], [8, 0]], "epsilons": [0.1, 0.1], "target_probabilities": None}
    # Class 0 is right for 6 of 8, class 1 for 4 of 8; 2 of the 6 errors end in class 1.
    last = {"robust": [[6, 2], [4, 4]], "epsilons": [0.2, 0.05], "target_probabilities": [[0.0, 1.0], [0.5, 0.5]]}
    found = script.figures([earlier, last], 0.1)
    assert found == pytest.approx(
        {
            "robust_training_accuracy": 0.625,
            "lowest_class": 0.5,
            "mean_budget": 1.25,
            "lowest_budget": 0.5,
            "highest_budget": 2.0,
            "cfps_ratio": 4 / 3,
            "cfps_entropy": -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3) / math.log(2),
            "target_ratio": 1.5,
        }
    )
    assert "target_ratio" not in script.figures([earlier], 0.1)


def test_table_gives_mean_and_range_over_seeds(script: ModuleType) -> None:
    seeds = [dict.fromkeys(script.FIGURES, 1.0), dict.fromkeys(script.FIGURES, 2.0)]
    assert "| at | 2 | 1.50 (1.00 to 2.00) |" in script.table({"at": seeds})
