"""A grid with selections that is killed again and again, at moments drawn at random, ends in the tables of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("optuna")

from fairart.benchmark import grid_from_mapping, run_grid

HARNESS = Path(__file__).with_name("killed_anywhere.py")
DOCUMENT: dict[str, Any] = {
    "base": {
        "dataset": "digits", "per_class": 20, "model.width": 2, "epochs": 2, "batch_size": 64, "max_iter": 1, "eps": 0.1,
        "eps_step": 0.1, "device": "cpu", "logger": [],
    },
    "methods": {"at": None, "trades": {"space": {"objective.beta": [1.0, 6.0]}}},
    "grid": {"seed": [0, 1]},
    "space": {"lr": {"low": 0.01, "high": 0.2, "log": True}},
    "selection": {"trials": 2, "held_out": 0.25, "smooth": 1, "pruner": "none"},
    "evaluation": {"attacks": {"pgd": {"max_iter": 1}}, "limit": 100},
}  # fmt: skip

MOMENTS = {
    "in a trial": ("trials/0000/run/", 30),
    "between trials": ("trials/0001", 2),
    "while a selection is written": ("/selection/at/", 4),
    "in a later trial": ("/selection/trades/trials/0001/run/", 30),
    "in a cell": ("/cells/at_", 60),
    "in an evaluation": ("/evaluation.", 4),
    "while tables are written": ("/.results.", 6),
    "anywhere in what is left": ("", 150),
}
"""What is interrupted -> part of the paths that are counted, and the largest number of the deadly operation."""


def without_times(path: Path) -> str:
    """A table but for the seconds that the selections took."""
    return re.sub(r"^(\| \w+ \| 2 whole \| \d+ \|) \d+ ", r"\1 - ", path.read_text(), flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_anywhere_a_grid_ends_in_the_same_tables(tmp_path: Path) -> None:
    alone = run_grid(grid_from_mapping(DOCUMENT), tmp_path / "alone", workers=0, verbose=False)
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    draws = random.Random(0)
    deadly = [f"{pattern}:{draws.randint(1, last)}" for pattern, last in MOMENTS.values()]
    command = [sys.executable, str(HARNESS), str(tmp_path / "grid.yaml"), str(tmp_path / "killed"), *deadly]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ends = json.loads(done.stdout)
    # Every one of them was killed at its moment, and the last one was left alone.
    for (pattern, _), end in zip(MOMENTS.values(), ends, strict=False):
        assert end is not None
        assert pattern in end
    assert len(ends) == len(MOMENTS) + 1
    assert ends[-1] is None
    # The page tells how long each epoch took.
    for path in alone.files:
        if path.suffix != ".html":
            assert without_times(tmp_path / "killed" / path.name) == without_times(path), path.name
