"""A grid on a Ray cluster of several nodes, one of which is lost on the way: the table is that of a run without Ray."""

from __future__ import annotations

import threading
import time

import pytest

from fairart.benchmark import grid_from_mapping, run_grid
from fairart.benchmark.ray_cluster import RayOptions

ray = pytest.importorskip("ray")

PATIENCE = 300
WAITING = """
import os
import time
from pathlib import Path
from fairart import hookimpl

HERE = Path(__file__).parent

@hookimpl
def fairart_epoch_end(trainer, record):
    # Begun, and not done, until the test says so.
    (HERE / f"{os.getpid()}.begun").touch()
    while not (HERE / "go").exists():
        time.sleep(0.02)
"""


@pytest.fixture
def cluster(monkeypatch):
    """A head without work, and two nodes of one core."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    try:
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    except Exception as error:  # Ray gives its own processes half a minute to start, and raises the bare class
        pytest.skip(f"Ray could not start its nodes: {error}")
    yield made, nodes
    made.shutdown()


def tables(result):
    return {path.name: path.read_text() for path in result.files if path.suffix != ".html"}


@pytest.mark.slow
def test_a_grid_that_loses_a_machine_ends_in_the_table_of_a_run_without_ray(document, tmp_path, cluster):
    plugins, (made, nodes) = tmp_path / "plugins", cluster
    plugins.mkdir()
    (plugins / "waiting.py").write_text(WAITING)
    base = {"epochs": 2, "plugins_dir": str(plugins)}
    grid = grid_from_mapping(document(methods=["at", "trades"], grid={"seed": [0, 1]}, base=base))
    (plugins / "go").touch()
    alone = run_grid(grid, tmp_path / "alone", workers=0, verbose=False)
    (plugins / "go").unlink()
    for begun in plugins.glob("*.begun"):
        begun.unlink()

    def lose_a_node():
        end = time.monotonic() + PATIENCE
        while len(list(plugins.glob("*.begun"))) < len(nodes) and time.monotonic() < end:
            time.sleep(0.05)
        made.remove_node(nodes[0], allow_graceful=False)
        (plugins / "go").touch()

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    with pytest.warns(UserWarning, match="a machine of the Ray cluster was lost; .* goes on on another one"):
        result = run_grid(grid, tmp_path / "ray", workers="ray", ray=RayOptions(address=made.address), verbose=False)
    killer.join()
    assert result.failed == []
    assert tables(result) == tables(alone)
