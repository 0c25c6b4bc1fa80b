"""benchmarks/step.py compares what it says it compares."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
T = 3


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("step")
    monkeypatch.setattr(module, "SECONDS_A_TURN", 0.0)
    return module


class Passes(nn.Module):
    """Counts forward passes by whether input or parameters take a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.count: dict[str, int] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kind = "input" if x.requires_grad else "none"
        kind += " and parameters" if self.linear.weight.requires_grad and torch.is_grad_enabled() else ""
        self.count[kind] = self.count.get(kind, 0) + 1
        return self.linear(x.flatten(1))


@pytest.mark.parametrize(
    ("variant", "objective", "expected"),
    [
        ("floor", "at", {"input": T, "none and parameters": 1}),
        ("floor", "trades", {"none": 1, "input": T, "none and parameters": 2}),
        ("fairart", "at", {"input": T, "none and parameters": 1}),
        ("fairart", "trades", {"none": 1, "input": T, "none and parameters": 2}),
        ("plain", "at", {"input and parameters": T, "none and parameters": 2}),
        ("plain", "trades", {"none": 1, "input and parameters": T, "none and parameters": 3}),
    ],
)
def test_a_variant_takes_the_passes_that_define_it(
    variant: str, objective: str, expected: dict[str, int], step: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    variants: Any = step.step_variants
    model = Passes()
    monkeypatch.setattr(variants.Setting, "network", lambda self: model)
    take = variants.make(variant, variants.Setting("counted", (1, 8, 8), 20, T), objective, {})
    model.count.clear()  # the check of the model when a trainer is made
    take(2)
    assert model.count == {kind: 2 * number for kind, number in expected.items()}


def test_rows_and_memory_are_written_as_json(step: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    short = "--models small-cnn-8x8 --batch 10 --max-iter 1 --rounds 1 --memory-runs 0 --threads 1 --flops"
    step.main([*short.split(), "--objectives", "at", "--execution", "", "channels_last", "--output", str(tmp_path / "a.json")])
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == [
        "floor",
        "plain",
        "art",
        "fairart",
        "floor channels_last",
        "fairart channels_last",
    ]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(10 / row["wall_seconds"])
        assert row["share_of_peak"] > 0
    assert rows[0]["to_floor"] == rows[0]["to_own_floor"] == rows[4]["to_own_floor"] == 1
    # By default it runs with channels last on the CPU, and so does its own floor.
    assert rows[3]["to_own_floor"] == pytest.approx(rows[3]["wall_seconds"] / rows[4]["wall_seconds"])
    assert "| fairart channels_last |" in capsys.readouterr().out


def test_the_peak_memory_of_a_process_of_its_own_grows_with_the_batch(step: ModuleType):
    setting = dataclasses.replace(step.SETTINGS["small-cnn"], batch=512)
    asked = {"kind": "floor", "setting": vars(setting), "objective": "at", "execution": {}}
    command = [sys.executable, str(BENCHMARKS / "step.py"), "--peak-of", json.dumps(asked), "--threads", "1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The first convolution's output alone, 16 x 14 x 14 numbers of 4 bytes an image, is 6 MiB.
    assert 6 * 2**20 < int(told) < 2**30


def test_the_passes_of_every_method_are_read_from_the_page(step: ModuleType):
    from fairart import registered

    passes = step.passes_of_methods(10)
    assert set(passes) == {name for name, entry in registered("trainer").items() if entry.plugin == "fairart"}
    assert (passes["standard"], passes["at"], passes["trades"], passes["bat"]) == (1, 11, 13, 14)
    assert step.passes_of_methods(7)["trades"] == 10
