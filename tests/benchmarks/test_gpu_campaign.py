"""The runner of benchmarks/gpu_campaign.py: what is skipped, kept, resumed, and whole after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "gpu_campaign.py"


@pytest.fixture
def running(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from campaign import running as module

    return module


def campaign_of(running, folder, seconds):
    return running.Campaign(device="cpu", smoke=False, output=folder, deadline=time.monotonic() + seconds)


def read(folder, stage="x"):
    return json.loads((folder / f"{stage}.json").read_text())


def test_what_does_not_fit_is_skipped_what_fails_stops_nothing_and_a_second_call_does_the_rest(running, tmp_path):
    calls = []

    def fails(save):
        calls.append("fails")
        save({"half": 1})
        if calls.count("fails") == 1:
            raise RuntimeError("no memory")
        return {"value": 2}

    def parts(campaign):
        return [
            running.Part("first", 1, lambda save: calls.append("first") or {"value": 1}),
            running.Part("fails", 1, fails),
            running.Part("long", 500, lambda save: calls.append("long") or {"value": 3}),
            running.Part("last", 1, lambda save: calls.append("last") or {"value": 4}),
        ]

    stage = running.Stage("x", 1, parts)
    running.run_stage(campaign_of(running, tmp_path, 60), stage)
    found = read(tmp_path)
    assert found["parts"]["first"]["result"] == {"value": 1}
    assert "no memory" in found["parts"]["fails"]["error"]
    assert found["parts"]["fails"]["so_far"] == {"half": 1}
    assert found["skipped"] == ["long"]
    assert "result" in found["parts"]["last"]
    assert found["complete"] is False
    running.run_stage(campaign_of(running, tmp_path, 1000), stage)
    assert calls == ["first", "fails", "last", "fails", "long"]
    assert read(tmp_path)["complete"] is True


def test_a_stage_that_cannot_begin_is_recorded(running, tmp_path):
    def parts(campaign):
        raise ValueError("needs --data")

    running.run_stage(campaign_of(running, tmp_path, 10), running.Stage("x", 1, parts))
    assert "needs --data" in read(tmp_path)["error"]


def test_figures_of_another_machine_are_not_mixed_in(running, tmp_path):
    stage = running.Stage("x", 1, lambda campaign: [running.Part("p", 0, lambda save: {})])
    running.run_stage(campaign_of(running, tmp_path, 10), stage)
    document = read(tmp_path)
    document["machine"]["card"] = "another"
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="choose another --output"):
        running.run_stage(campaign_of(running, tmp_path, 10), stage)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 3090", None),
    ],
)
def test_the_peak_follows_from_the_name_of_the_card(running, card, peak):
    from campaign.cards import bf16_peak

    assert bf16_peak(card) == peak


def script(*flags, **options):
    return subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--smoke", "--stages", "steps"], "there is no stage 'steps'; known: correctness, step"),
        (["--smoke", "--data", "no.npz"], "there is no file no.npz"),
    ],
)
def test_bad_input_is_named(flags, message, tmp_path):
    done = script("--output", str(tmp_path / "out"), *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_kill_leaves_whole_files_and_the_next_call_goes_on(tmp_path):
    command = [sys.executable, SCRIPT, "--smoke", "--stages", "evaluation", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    file = tmp_path / "evaluation.json"
    for _ in range(600):
        if file.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read(tmp_path, "evaluation")
    assert script("--smoke", "--stages", "evaluation", "--output", str(tmp_path)).returncode == 0
    after = read(tmp_path, "evaluation")
    assert after["complete"] is True
    for name, part in before["parts"].items():
        if "result" in part:
            assert after["parts"][name] == part


def test_what_ran_out_of_time_is_kept_and_done_again(running, tmp_path):
    answers = [{"stopped_early": True, "epochs": 3}, {"stopped_early": False, "epochs": 15}]
    stage = running.Stage("x", 1, lambda campaign: [running.Part("p", 0, lambda save: answers.pop(0))])
    running.run_stage(campaign_of(running, tmp_path, 10), stage)
    assert read(tmp_path)["parts"]["p"]["so_far"]["epochs"] == 3
    assert read(tmp_path)["skipped"] == ["p"]
    running.run_stage(campaign_of(running, tmp_path, 10), stage)
    assert read(tmp_path)["parts"]["p"]["result"]["epochs"] == 15


def test_every_stage_keeps_time_for_the_later_ones(running, tmp_path):
    campaign = campaign_of(running, tmp_path, 100)
    stage = running.Stage("x", 0.3, lambda campaign: [running.Part("long", 60, lambda save: {})])
    running.run_stage(campaign.until(70), stage)
    assert read(tmp_path)["skipped"] == ["long"]
    running.run_stage(campaign, stage)
    assert read(tmp_path)["complete"] is True


def test_a_folder_of_another_machine_is_refused_before_any_work(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps({"machine": {"card": "another"}, "parts": {}}))
    done = script("--smoke", "--stages", "evaluation", "--output", str(tmp_path))
    assert done.returncode == 2
    assert "choose another --output" in done.stderr
    assert "Traceback" not in done.stderr
