"""How a step is computed, on the command line: flags and config file say the same, and evaluation is not touched by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairart.engine.network import network
from fairart.execution import EXECUTION, Execution
from fairart.plugins.options import declared_options
from fairart.runs.config import RunConfig
from fairart.trainers import FairnessTrainer

Run = Callable[..., tuple[int, str, str]]


def test_every_option_of_an_execution_is_one_of_trainers_and_runs_declared_alike():
    own = declared_options(Execution)
    for other in (declared_options(FairnessTrainer), RunConfig.declared()):
        assert {name: other[name] for name in EXECUTION} == own


def test_flags_reach_the_trainer_and_the_config_and_leave_evaluation(train: Run, fairart_command: Run, tmp_path: Path):
    code, _, _ = train("trades", tmp_path / "a", "--quiet", "--precision", "bf16-mixed", "--channels-last", "--fold-batch-norm")
    assert code == 0
    config = RunConfig.load(tmp_path / "a" / "config.yaml")
    assert {name for name in EXECUTION if getattr(config, name) is True} == {"channels_last", "fold_batch_norm"}
    assert config.precision == "bf16-mixed"
    code, _, _ = fairart_command(
        "train", "--config", tmp_path / "a" / "config.yaml", "--no-fold-batch-norm", "--output", tmp_path / "b"
    )
    assert code == 0
    assert not RunConfig.load(tmp_path / "b" / "config.yaml").fold_batch_norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network.torch, "autocast", None)  # whatever evaluates in bfloat16 would call it
        code, out, _ = fairart_command("evaluate", tmp_path / "a", "--attack", "pgd", "--limit", "20")
    assert code == 0
    assert "pgd" in out


@pytest.mark.parametrize(
    ("method", "flags", "told"),
    [
        ("at", ["--precision", "16"], "precision expects '32-true' or 'bf16-mixed', got '16'"),
        ("at", ["--fold-batch-norm"], "attacks in train mode"),
        ("at", ["--cuda-graphs"], "cuda_graphs needs a classifier on a CUDA device"),
        ("at", ["--channel-last"], "did you mean '--channels-last'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_nothing_is_written(
    method: str, flags: list[str], told: str, train: Run, tmp_path: Path
):
    code, _, error = train(method, tmp_path / "a", *flags)
    assert code == 2
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "a").exists()
