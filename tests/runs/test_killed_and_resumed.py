"""Runs on digits that are killed with SIGKILL at 20 random moments, and resumed each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_runs.py")
CLOCKS = ("seconds", "images_per_second")
KILLS = 5


def history(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in CLOCKS} for line in lines]


def metrics(folder: Path) -> list[list[str]]:
    header, *rows = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    return [[cell for name, cell in zip(header, row, strict=True) if name not in CLOCKS] for row in (header, *rows)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_kills_change_no_bit(tmp_path: Path):
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(KILLS)], capture_output=True, text=True, env=here, check=False
    )
    assert ran.returncode == 0, ran.stderr
    killed = json.loads(ran.stdout)
    assert list(killed) == ["fair-tat", "wat", "frl", "dafa"]
    assert sum(len(one["killed"]) for one in killed.values()) >= 20
    for method, found in killed.items():
        assert {"anywhere", "writing"} <= set(found["killed"])
        whole = tmp_path / f"{method}-whole"
        assert [line["epoch"] for line in history(whole)] == [0, 1, 2]
        for number in range(found["runs"]):
            folder = tmp_path / f"{method}-{number}"
            assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes(), method
            assert history(folder) == history(whole)
            assert metrics(folder) == metrics(whole)
            assert len(list((folder / "checkpoint").glob("*.safetensors"))) == 2
            assert not list(folder.rglob("*.tmp"))
