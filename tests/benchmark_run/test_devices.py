"""Runs on several devices from the command line: processes of our own, and those of ``torchrun``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fairart.benchmark.run import train_run
from fairart.config import RunConfig
from fairart.errors import UnknownNameError

pytest.importorskip("lightning_fabric")

SHORT = {"per_class": 12, "epochs": 2, "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "batch_size": 60, "device": "cpu"}


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_processes_of_our_own_leave_one_run(tmp_path):
    run = train_run(RunConfig(trainer="wat", devices=2, **SHORT), tmp_path / "two", verbose=False)
    assert [record.epoch for record in run.history] == [0, 1]
    assert not run.finished_before
    assert [record["epoch"] for record in history(tmp_path / "two")] == [0, 1]
    assert sum(map(sum, history(tmp_path / "two")[0]["robust"])) == run.history[0].robust.counts.sum()
    saved = load_file(tmp_path / "two" / "model.safetensors")
    assert all(torch.equal(value, run.classifier.model.state_dict()[name]) for name, value in saved.items())
    alone = train_run(RunConfig(trainer="wat", **SHORT), tmp_path / "one", verbose=False)
    # Batch-norm sees half batches: alike, not the same.
    assert alone.history[0].robust.support.tolist() == run.history[0].robust.support.tolist()
    assert alone.history[0].loss == pytest.approx(run.history[0].loss, rel=0.2)


def test_processes_of_torchrun_leave_one_run(tmp_path):
    command = ["-m", "fairart", "train", "at", "--output", str(tmp_path / "run"), "--json"]
    for name, value in SHORT.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["epochs"] == 2
    assert told["config"]["devices"] == 2
    assert len(history(tmp_path / "run")) == 2


def test_what_is_wrong_is_said_before_processes_start(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'wat'"):
        train_run(RunConfig(trainer="at", devices=2, class_weighting="wat2", **SHORT), tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_a_process_that_fails_is_named_in_one_line(tmp_path):
    with pytest.raises(RuntimeError, match=r"one of 2 processes failed: .*at least 2 samples for each of the 2 processes, got 3"):
        train_run(RunConfig(trainer="at", devices=2, **{**SHORT, "batch_size": 3}), tmp_path / "run", verbose=False)
