"""An evaluation on a Ray cluster of several nodes, one of which is lost on the way: the file is that of one process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from fairart.cli.main import main
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.ray_connection import RayOptions
from fairart.runs.run import train_run

ray = pytest.importorskip("ray")
pytest.importorskip("lightning_fabric")

PATIENCE = 300
WAITING = """
import os
import time
from pathlib import Path
from fairart import hookimpl
from fairart.evaluation.running import partial

partial.SAVE_EVERY = 0.0
HERE = Path(__file__).parent

def waiting(target, x, y, *, eps: float = 0.1):
    # Begun with a second batch, and not done with it, until the test says so.
    batches = HERE / f"{os.getpid()}.batches"
    if batches.exists():
        (HERE / f"{os.getpid()}.begun").touch()
        while not (HERE / "go").exists():
            time.sleep(0.02)
    batches.touch()
    with (HERE / "all").open("a") as file:
        file.write("batch\\n")
    return (x + eps).clamp(0, 1)

@hookimpl
def fairart_register_attacks(register):
    register("waiting", waiting)
"""
ASKED = {"batch_size": 20, "limit": 200, "sanity_samples": 0, "verbose": False, "device": "cpu"}


@pytest.fixture
def cluster(monkeypatch):
    """A head without work, and two nodes of one core."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # A node that does not answer counts as lost within seconds instead of half a minute.
    for name, value in (("period_ms", 500), ("timeout_ms", 5000), ("failure_threshold", 5), ("initial_delay_ms", 500)):
        monkeypatch.setenv(f"RAY_health_check_{name}", str(value))
    try:
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    except Exception as error:  # Ray gives its own processes half a minute to start, and raises the bare class
        pytest.skip(f"Ray could not start its nodes: {error}")
    yield made, nodes
    made.shutdown()


def trained(folder, **settings):
    settings = {"per_class": 12, "epochs": 2, "eps": 0.1, "max_iter": 2, "batch_size": 60, "device": "cpu", **settings}
    return train_run(RunConfig(trainer="at", **settings), folder, verbose=False).folder


@pytest.mark.slow
def test_an_evaluation_that_loses_a_machine_ends_in_the_file_of_one_process(tmp_path, cluster):
    plugins, (made, nodes) = tmp_path / "plugins", cluster
    plugins.mkdir()
    (plugins / "waiting.py").write_text(WAITING)
    run = trained(tmp_path / "run", plugins_dir=str(plugins))
    (plugins / "go").touch()
    evaluate_run(run, ["waiting"], **ASKED)
    alone = (run / "evaluation.json").read_bytes()
    batches = len((plugins / "all").read_text().split())
    for file in [*plugins.glob("*.batches"), *plugins.glob("*.begun"), plugins / "go", plugins / "all"]:
        file.unlink(missing_ok=True)

    def lose_a_node():
        end = time.monotonic() + PATIENCE
        while len(list(plugins.glob("*.begun"))) < len(nodes) and time.monotonic() < end:
            time.sleep(0.05)
        working = [int(file.stem) for file in plugins.glob("*.begun")]
        made.remove_node(nodes[0], allow_graceful=False)
        # The process there ends a moment after its node.
        while all(Path(f"/proc/{pid}").exists() for pid in working) and time.monotonic() < end:
            time.sleep(0.05)
        (plugins / "go").touch()

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    with pytest.warns(UserWarning, match="a machine of the Ray cluster was lost; the evaluation goes on in 1 processes"):
        told = evaluate_run(run, ["waiting"], devices=2, ray=RayOptions(address=made.address), **ASKED)
    killer.join()
    assert (run / "evaluation.json").read_bytes() == alone
    assert told["waiting"].accuracy == evaluate_run(run, ["waiting"], **ASKED)["waiting"].accuracy
    assert not list(run.glob(".seen-*"))
    # The first two batches were kept: nothing of them was computed again.
    assert len((plugins / "all").read_text().split()) <= 2 * batches + 2


def test_too_little_room_is_said(tmp_path, capsys, monkeypatch):
    run = trained(tmp_path / "run")
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    assert main(["evaluate", str(run), "--devices", "3", "--ray"]) == 1
    assert "3 processes need 3 CPU, the Ray cluster has 2" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--ray", "--ray-gpus", "0.5"]) == 1
    assert "1 processes need 0.5 GPU, the Ray cluster has 0" in capsys.readouterr().err
    assert not list(run.glob(".seen-*"))
    assert main(["evaluate", str(run), "--ray-address", "10.0.0.1:6379"]) == 2
    assert "--ray-address goes with --ray" in capsys.readouterr().err


def test_a_machine_that_does_not_see_the_folder_or_has_another_version_is_named():
    from fairart.runs import ray_evaluation

    here = {"address": "10.0.0.2", "version": ray_evaluation.fairart.__version__, "seen": False}
    with pytest.raises(RuntimeError, match=r"10\.0\.0\.2 of the Ray cluster does not see the folder '/runs/a'"):
        ray_evaluation._check_told([here], "/runs/a/.seen-1")
    with pytest.raises(RuntimeError, match=r"10\.0\.0\.2 of the Ray cluster has fairart 0\.0"):
        ray_evaluation._check_told([{**here, "version": "0.0"}], "/runs/a/.seen-1")
