"""Runs on several devices from the command line: processes of our own, and those of ``torchrun``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from fairart.errors import UnknownNameError
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run

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


def test_fabric_says_nothing_on_its_own(tmp_path, capfd):
    train_run(RunConfig(trainer="at", devices=2, **{**SHORT, "epochs": 1}), tmp_path / "run", verbose=False)
    assert "distributed" not in "".join(capfd.readouterr())


def test_processes_compute_their_parts_the_way_the_run_asks_for(tmp_path):
    ways = {"precision": "bf16-mixed", "channels_last": True, "fold_batch_norm": True}
    config = RunConfig(trainer="trades", devices=2, **ways, **SHORT)
    shared = train_run(config, tmp_path / "two", verbose=False)
    alone = train_run(RunConfig(trainer="trades", **ways, **SHORT), tmp_path / "one", verbose=False)
    assert {name: getattr(shared.config, name) for name in ways} == ways
    assert alone.history[0].robust.support.tolist() == shared.history[0].robust.support.tolist()
    assert alone.history[0].loss == pytest.approx(shared.history[0].loss, rel=0.2)
    in_float32 = train_run(RunConfig(trainer="trades", devices=2, **SHORT), tmp_path / "float32", verbose=False)
    assert in_float32.history[0].loss == pytest.approx(shared.history[0].loss, rel=0.2)
    assert in_float32.history[0].loss != shared.history[0].loss


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


def test_a_killed_run_goes_on_in_all_its_processes(tmp_path):
    """Killed as soon as an epoch is written, and gone on with: the weights of a run that was left alone."""
    config = RunConfig(trainer="fair-tat", averaging="ema", devices=2, **{**SHORT, "epochs": 3})
    whole = train_run(config, tmp_path / "whole", verbose=False)
    config.save(tmp_path / "config.yaml")
    command = [
        sys.executable,
        "-m",
        "fairart",
        "train",
        "--config",
        tmp_path / "config.yaml",
        "--output",
        tmp_path / "run",
        "--quiet",
    ]
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not (tmp_path / "run" / "history.jsonl").is_file() or not history(tmp_path / "run"):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    resumed = train_run(config, tmp_path / "run", resume=True, verbose=False)
    assert len(resumed.history) == 3
    for name, value in whole.classifier.model.state_dict().items():
        assert torch.equal(value, resumed.classifier.model.state_dict()[name])


DYING = """
import os, signal
from pathlib import Path
import torch
from fairart import hookimpl
from fairart.objectives import ATObjective

DONE = Path(__file__).with_name("done")

class DyingAT(ATObjective):
    batches = 0

    def losses(self, network, batch, examples):
        self.batches += 1
        # The second of two batches of the second epoch.
        if self.batches == 4 and not DONE.exists() and torch.distributed.get_rank() == 1:
            DONE.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(network, batch, examples)

@hookimpl
def fairart_register_objectives(register):
    register("dying-at", DyingAT)
"""


def test_a_process_that_is_killed_ends_the_others_and_any_number_goes_on(tmp_path, capfd):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "dying.py").write_text(DYING)
    settings = {**SHORT, "epochs": 3, "objective": "dying-at", "plugins_dir": str(tmp_path / "plugins")}
    config = RunConfig(trainer="at", devices=2, **settings)
    with pytest.raises(RuntimeError, match=r"^one of 2 processes was killed.*--resume goes on from the last checkpoint"):
        train_run(config, tmp_path / "two", verbose=False)
    assert "Traceback" not in "".join(capfd.readouterr())
    before = history(tmp_path / "two")
    assert [record["epoch"] for record in before] == [0]
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    for folder, devices in (("one", 1), ("two", 2)):
        resumed = train_run(RunConfig(trainer="at", devices=devices, **settings), tmp_path / folder, resume=True, verbose=False)
        after = history(tmp_path / folder)
        assert [record["epoch"] for record in after] == [0, 1, 2]
        assert after[0] == before[0]
        assert [sum(map(sum, record["robust"])) for record in after] == [120] * 3
        assert all(torch.isfinite(value).all() for value in resumed.classifier.model.state_dict().values())


def test_what_is_wrong_is_said_before_processes_start(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'wat'"):
        train_run(RunConfig(trainer="at", devices=2, class_weighting="wat2", **SHORT), tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_a_process_that_fails_is_named_in_one_line(tmp_path):
    with pytest.raises(RuntimeError, match=r"one of 2 processes failed: .*at least 2 samples for each of the 2 processes, got 3"):
        train_run(RunConfig(trainer="at", devices=2, **{**SHORT, "batch_size": 3}), tmp_path / "run", verbose=False)
