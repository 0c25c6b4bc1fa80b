"""Evaluations on several devices from the command line: processes of our own, and those of ``torchrun``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fairart.errors import OptionError, UnknownNameError
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_ensemble import evaluate_ensemble
from fairart.runs.evaluate_model import evaluate_model
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.evaluating import Request
from fairart.runs.evaluation_batch import found
from fairart.runs.run import load_run, train_run

pytest.importorskip("lightning_fabric")

SHORT = {"per_class": 12, "epochs": 2, "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "batch_size": 60, "device": "cpu"}
ASKED = {"batch_size": 20, "limit": 70, "sanity_samples": 10, "verbose": False, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_run(RunConfig(trainer="at", **SHORT), tmp_path_factory.mktemp("run") / "a", verbose=False).folder


def written(folder):
    return (folder / "evaluation.json").read_bytes()


def test_two_processes_write_the_file_of_one(run):
    evaluate_run(run, ["pgd"], **ASKED)
    alone = written(run)
    told = evaluate_run(run, ["pgd"], devices=2, **ASKED)
    assert written(run) == alone
    assert told.to_dict() == json.loads(alone)
    assert not (run / "evaluation.partial").exists()


def test_models_and_ensembles_are_shared_as_well(run, tmp_path):
    request = {name: Request(attacks=["pgd"], eps=0.1, devices=devices, **ASKED) for name, devices in (("one", 1), ("two", 2))}
    other = train_run(RunConfig(trainer="trades", **SHORT), tmp_path / "b", verbose=False).folder
    for name, asked in request.items():
        evaluate_ensemble([run, other], tmp_path / f"ensemble-{name}", request=asked)
        weights = {"weights": run / "model.safetensors", "normalization": "none"}
        evaluate_model("small-cnn", tmp_path / f"model-{name}", dataset="digits", request=asked, **weights)
    for kind in ("ensemble", "model"):
        assert written(tmp_path / f"{kind}-one") == written(tmp_path / f"{kind}-two")


def test_processes_of_torchrun_leave_one_file_and_one_table(run):
    evaluate_run(run, ["pgd"], **ASKED)
    alone = written(run)
    flags = ["--attack", "pgd", "--batch-size", "20", "--limit", "70", "--sanity-samples", "10", "--device", "cpu", "--json"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [*command, "-m", "fairart", "evaluate", str(run), *flags],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(alone)
    assert written(run) == alone


DYING = """
import os, signal
from pathlib import Path
import torch
from fairart import hookimpl
from fairart.evaluation.running import partial

partial.SAVE_EVERY = 0.0
DONE = Path(__file__).with_name("done")
SEEN = Path(__file__).with_name("seen")

def ending(target, x, y, *, eps: float = 0.1):
    with SEEN.open("a") as file:
        file.write(f"{len(x)}\\n")
    if not DONE.exists() and torch.distributed.get_rank() == 1 and len(SEEN.read_text().split()) > 2:
        DONE.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return (x + eps).clamp(0, 1)

@hookimpl
def fairart_register_attacks(register):
    register("ending", ending)
"""


def test_a_process_that_is_killed_ends_the_others_and_another_number_goes_on(tmp_path, capfd):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "ending.py").write_text(DYING)
    config = RunConfig(trainer="at", **SHORT, plugins_dir=str(tmp_path / "plugins"))
    folder = train_run(config, tmp_path / "run", verbose=False).folder
    asked = {**ASKED, "sanity_samples": 0, "limit": 200}
    with pytest.raises(RuntimeError, match=r"^one of 2 processes was killed.*The same command goes on from what was finished"):
        evaluate_run(folder, ["ending"], devices=2, **asked)
    assert "Traceback" not in "".join(capfd.readouterr())
    seen = len((tmp_path / "plugins" / "seen").read_text().split())
    going_on = evaluate_run(folder, ["ending"], **asked)
    again = len((tmp_path / "plugins" / "seen").read_text().split()) - seen
    assert (folder / "evaluation.json").is_file()
    fresh = evaluate_run(folder, ["ending"], **asked)
    whole = len((tmp_path / "plugins" / "seen").read_text().split()) - seen - again
    assert going_on.to_dict() == fresh.to_dict()
    assert 0 < again < whole


def test_what_is_wrong_is_said_before_processes_start(run, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("processes were started")

    monkeypatch.setattr("fairart.runs.shared_evaluation.start", never)
    with pytest.raises(UnknownNameError, match="did you mean 'pgd'"):
        evaluate_run(run, ["pgdd"], devices=2, **ASKED)
    with pytest.raises(OptionError, match="max_iterations"):
        evaluate_run(run, [("pgd", {"max_iterations": 3})], devices=2, **ASKED)


def test_a_mistake_that_only_a_process_sees_is_told_as_in_one_process(run):
    for devices in (1, 2):
        with pytest.raises(OptionError, match=r"^groups 'nowhere\.csv': there is no file nowhere\.csv$"):
            evaluate_run(run, ["pgd"], devices=devices, groups="nowhere.csv", **ASKED)


def test_more_processes_than_the_machine_can_run_are_refused(run):
    with pytest.raises(OptionError, match=r"^devices 1000: this machine has \d+ processor cores"):
        evaluate_run(run, ["pgd"], devices=1000, **ASKED)


class FakeFabric:
    """The first of some processes, for what is decided there."""

    def __init__(self, world_size):
        self.global_rank, self.world_size = 0, world_size

    def broadcast(self, value, src=0):
        return value


def test_devices_without_a_batch_are_told_of(run, capfd):
    loaded = load_run(run)
    images = (loaded.classifier, loaded.dataset.x_test[:70], loaded.dataset.y_test[:70], run)
    assert found(80, *images, device="cpu", verbose=True, fabric=FakeFabric(2)) == 80
    told = capfd.readouterr().err
    assert "70 images in batches of 80 are 1 for 2 devices" in told
    assert "--batch-size 35" in told
    assert found(35, *images, device="cpu", verbose=True, fabric=FakeFabric(2)) == 35
    # One image is one batch, whatever is chosen.
    few = (loaded.classifier, loaded.dataset.x_test[:1], loaded.dataset.y_test[:1], run)
    assert found(1, *few, device="cpu", verbose=True, fabric=FakeFabric(2)) == 1
    assert not capfd.readouterr().err


def test_an_automatic_batch_leaves_none_without_work(run, capfd):
    loaded = load_run(run)
    images = (loaded.classifier, loaded.dataset.x_test[:70], loaded.dataset.y_test[:70], run)
    assert found("auto", *images, device="cpu", verbose=True, fabric=FakeFabric(3)) == 24
    assert "batch_size auto: 24, the most that is tried" in capfd.readouterr().err
