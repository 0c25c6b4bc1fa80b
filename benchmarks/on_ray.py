"""A grid and an evaluation on a Ray cluster of two nodes, beside the same without Ray, and with a node lost on the way.

    pip install -e ".[ray,devices]"
    python benchmarks/on_ray.py --output benchmarks/results/on_ray.json

The nodes are processes of this machine with one core each, by Ray's own cluster utility; every turn has two cores. The grid
trains AT and TRADES on digits with several seeds and evaluates each run; the evaluation is that of one run, PGD with restarts.

Turns:

- local: two worker processes, or two devices, without Ray.
- Ray: the cluster, started before and not timed.
- node lost: one of the two nodes is killed when a third of the cells are done (grid), or when the attack has begun (evaluation).

Seconds are wall time. Tables, and the file of the evaluation, are compared byte for byte with those of *local*.

--smoke tries all of it at toy size. Linux alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fairart.benchmark import grid_from_mapping, run_grid
from fairart.benchmark.ray_cluster import RayOptions
from fairart.files import write_text
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.run import train_run

NODES = 2
FULL: dict[str, Any] = {"rounds": 2, "seeds": 4, "epochs": 20, "restarts": 60, "limit": 450, "batch_size": 32}
SMOKE: dict[str, Any] = {"rounds": 1, "seeds": 1, "epochs": 1, "restarts": 2, "limit": 60, "batch_size": 20}
PATIENCE = 600.0


class Nodes:
    """A Ray cluster of a head without work and some nodes of one core."""

    def __enter__(self) -> Nodes:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(NODES)]
        self.options = RayOptions(address=self.cluster.address)
        return self

    def __exit__(self, *about: object) -> None:
        self.cluster.shutdown()

    def lose_one(self, when: Callable[[], bool]) -> threading.Thread:
        """Kill a node as soon as something holds."""

        def wait() -> None:
            end = time.monotonic() + PATIENCE
            while not when() and time.monotonic() < end:
                time.sleep(0.02)
            self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


def grid_of(settings: dict[str, Any]) -> Any:
    """AT and TRADES on digits."""
    base = {"dataset": "digits", "model": "small-cnn", "model.width": 8, "eps": 0.1, "epochs": settings["epochs"], "logger": []}
    return grid_from_mapping(
        {
            "base": {**base, "device": "cpu"},
            "methods": ["at", "trades"],
            "grid": {"seed": list(range(settings["seeds"]))},
            "evaluation": {"attacks": {"pgd-20": {"attack": "pgd", "max_iter": 20}}},
        }
    )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds by the clock, and the answer."""
    begin = time.perf_counter()
    answer = work()
    return time.perf_counter() - begin, answer


def grid_turns(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each turn of the grid, and whether its tables are those of the first."""
    grid, found, tables = grid_of(settings), dict[str, float](), dict[str, dict[str, bytes]]()

    def run(turn: str, **where: Any) -> None:
        found[turn], result = timed(lambda: run_grid(grid, folder / turn.replace(" ", "-"), verbose=False, **where))
        if result.failed:
            raise RuntimeError(f"{turn}: {len(result.failed)} cells failed")
        tables[turn] = {path.name: path.read_bytes() for path in result.files if path.suffix != ".html"}

    run("local", workers=NODES)
    with Nodes() as nodes:
        run("Ray", workers="ray", ray=nodes.options)
    with Nodes() as nodes:
        records, cells = folder / "node-lost" / "cells", 2 * settings["seeds"]
        thread = nodes.lose_one(lambda: len(list(records.glob("*/evaluation.json"))) >= max(1, cells // 3))
        run("node lost", workers="ray", ray=nodes.options)
        thread.join()
    return {
        "seconds": found,
        "same": {turn: one == tables["local"] for turn, one in tables.items()},
        "cells": 2 * settings["seeds"],
    }


def evaluation_turns(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each turn of the evaluation, and whether its file is that of one process."""
    config = RunConfig.from_mapping({"trainer": "at", "dataset": "digits", "eps": 0.1, "epochs": 2, "device": "cpu"})
    run = train_run(config, folder / "run", verbose=False).folder
    attack = ("pgd", {"max_iter": 20, "num_random_init": settings["restarts"]})
    asked = {"limit": settings["limit"], "batch_size": settings["batch_size"], "sanity_samples": 0, "verbose": False}
    found, files = dict[str, float](), dict[str, bytes]()

    def evaluated(turn: str, **where: Any) -> None:
        found[turn], _ = timed(lambda: evaluate_run(run, [attack], **asked, **where))
        files[turn] = (run / "evaluation.json").read_bytes()

    evaluated("one process")
    evaluated("local", devices=NODES)
    with Nodes() as nodes:
        evaluated("Ray", devices=NODES, ray=nodes.options)
    with Nodes() as nodes:
        begun = run / "evaluation.partial"
        thread = nodes.lose_one(lambda: any(begun.glob("attack-*.npz")))
        evaluated("node lost", devices=NODES, ray=nodes.options)
        thread.join()
    return {"seconds": found, "same": {turn: one == files["one process"] for turn, one in files.items()}}


def table(found: dict[str, Any]) -> str:
    """Markdown: a line for each turn, medians over the rounds."""
    lines = ["| work | turn | seconds | of local | the same result |", "|" + " --- |" * 5]
    for work, rounds in found["work"].items():
        for turn in rounds[0]["seconds"]:
            seconds = statistics.median(one["seconds"][turn] for one in rounds)
            ratio = statistics.median(one["seconds"][turn] / one["seconds"]["local"] for one in rounds)
            same = all(one["same"][turn] for one in rounds)
            lines.append(f"| {work} | {turn} | {seconds:.1f} | {ratio:.2f} | {'yes' if same else 'no'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write")
    parser.add_argument("--only", choices=("grid", "evaluation"))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--smoke", action="store_true", help="all of it at toy size")
    arguments = parser.parse_args()
    settings = dict(SMOKE if arguments.smoke else FULL)
    settings["rounds"] = arguments.rounds or settings["rounds"]
    # All processes of every turn have one thread.
    os.environ.update(OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="a machine of the Ray cluster was lost")
    work: dict[str, list[dict[str, Any]]] = {}
    for name, turns in (("grid", grid_turns), ("evaluation", evaluation_turns)):
        if arguments.only in (None, name):
            for _ in range(settings["rounds"]):
                with tempfile.TemporaryDirectory() as folder:
                    work.setdefault(name, []).append(turns(Path(folder), settings))
    found = {"work": work, "settings": {"torch": torch.__version__, "cores": os.cpu_count(), **settings}}
    if arguments.output:
        write_text(arguments.output, json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
