"""Cells in other processes: killed and resumed, and in the end the table of a run that was left alone."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml

import fairart
from fairart.benchmark import dry_run, grid_from_mapping, read_grid, run_grid
from fairart.benchmark.check import check_grid
from fairart.benchmark.ray_cluster import _collected, _run_there
from fairart.benchmark.state import Task, state_of
from fairart.benchmark.workers import in_processes, threads_per_worker

METHODS = {
    "at": None,
    "fair-tat": None,
    "on TRADES": {"trainer": "fair-tat", "objective": "trades", "epsilon_scheduler.lambda1": 0.4},
}
PATIENCE = 300


@pytest.fixture(scope="module")
def grid_file(document, tmp_path_factory):
    """Three methods, two seeds."""
    path = tmp_path_factory.mktemp("grid") / "grid.yaml"
    path.write_text(yaml.safe_dump(document(methods=METHODS, grid={"seed": [0, 1]}, base={"epochs": 2}), sort_keys=False))
    return path


@pytest.fixture(scope="module")
def left_alone(grid_file, tmp_path_factory):
    """The files of a run that nobody disturbed, in this process."""
    result = run_grid(read_grid(grid_file), tmp_path_factory.mktemp("alone"), workers=0, verbose=False)
    assert len(result.tables) == 1
    return tables(result)


def tables(result):
    """The files without the page, which tells how long each epoch took."""
    return {path.name: path.read_text() for path in result.files if path.suffix != ".html"}


def finished(folder):
    """How many cells have their evaluation."""
    done = 0
    for path in folder.glob("cells/*/cell.json"):
        done += bool(json.loads(path.read_text())["evaluation"])
    return done


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers",
    [
        2,
        pytest.param("ray", marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")),
    ],
)
def test_a_grid_that_was_killed_ends_in_the_same_table(workers, grid_file, left_alone, tmp_path, monkeypatch):
    # One thread, as in this process: sums in another order would be other weights.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "fairart", "benchmark", grid_file, "--output", tmp_path, "--workers", str(workers)]
    runner = subprocess.Popen([*map(str, command), "--quiet"], start_new_session=True)
    try:
        end = time.monotonic() + PATIENCE
        while finished(tmp_path) == 0 and runner.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        os.killpg(runner.pid, signal.SIGKILL)
    assert runner.wait() == -signal.SIGKILL
    # Stopped on the way: something is done, and something is not.
    found = dry_run(read_grid(grid_file), tmp_path)
    assert "done" in found.values()
    assert set(found.values()) - {"done"}
    result = run_grid(read_grid(grid_file), tmp_path, workers=workers, verbose=False)
    assert result.failed == []
    assert tables(result) == left_alone


KILLER = """
import os, signal
from fairart import hookimpl

@hookimpl
def fairart_epoch_end(trainer, record):
    if trainer.budget.eps == 0.25:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_is_killed_is_recorded_and_the_others_go_on(document, tmp_path, capsys):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "killer.py").write_text(KILLER)
    grid = grid_from_mapping(
        document(methods={"victim": {"trainer": "at", "eps": 0.25}, "at": None}, base={"plugins_dir": str(tmp_path / "plugins")})
    )
    result = run_grid(grid, tmp_path / "out", workers=1)
    (failed,) = result.failed
    assert failed.cell.method == "victim"
    assert failed.failure.startswith("WorkerDied: the worker was killed by SIGKILL: most likely the system ran out of memory")
    assert result.tables[0].cell("at", "clean, overall").text != "-"
    assert "victim, digits, small-cnn, seed 0: failed: WorkerDied" in capsys.readouterr().err
    assert list(dry_run(grid, tmp_path / "out").values()) == ["failed", "done"]


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [threads_per_worker(workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_per_worker(workers) for workers in (1, 4)] == [3, 2]


def test_no_cells_need_no_workers():
    assert list(in_processes([], workers=3)) == []


def test_a_machine_without_the_folder_sends_its_files_back(document, tmp_path):
    grid = grid_from_mapping(document(methods=["at"]))
    (cell,), (full,) = grid.cells, check_grid(grid).full.values()
    folder = tmp_path / "cells" / cell.name
    task = Task(folder=str(folder), config=cell.config.to_dict(), full=full.to_dict(), plan=grid.plan.to_dict())
    sent = _run_there(asdict(task), "not-seen", 1, fairart.__version__)
    assert not folder.exists()
    assert sent is not None
    there = SimpleNamespace(get=lambda _: sent, exceptions=SimpleNamespace(RayError=RuntimeError))
    assert _collected(there, None, task).died is None
    assert state_of(folder, task.config, task.plan) == "done"
    with pytest.raises(RuntimeError, match=r"this machine of the cluster has fairart .*, the runner has 0\.0"):
        _run_there(asdict(task), "not-seen", 1, "0.0")


def test_what_ray_says_of_a_lost_worker_is_recorded(tmp_path):
    def lost(_):
        raise RuntimeError("a long story\nthe node ran out of memory\n")

    there = SimpleNamespace(get=lost, exceptions=SimpleNamespace(RayError=RuntimeError))
    task = Task(folder=str(tmp_path), config={}, full={}, plan={})
    assert _collected(there, None, task).died == "Ray: RuntimeError: the node ran out of memory"


def test_ray_that_is_missing_is_named(document, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RuntimeError, match=r"pip install 'fairart\[ray\]'"):
        run_grid(grid_from_mapping(document(methods=["at"])), tmp_path, workers="ray", verbose=False)
