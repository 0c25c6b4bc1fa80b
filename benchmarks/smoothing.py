"""Time of randomised smoothing beside ART's, with the same model, images, draws and batch size.

Both classify n0 + n noisy copies of every image and take the same Clopper-Pearson bound. They take turns in one process, in
rotating order, so that a busy machine slows both; medians over the rounds are compared. CPU time stands beside wall time.

Each setting is measured in several processes of its own, and the median of their ratios counts: memory that other settings leave
behind changes the time of both by up to a half. MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ (glibc) show it.

    pip install statsmodels        # ART needs it and does not declare it
    python benchmarks/smoothing.py --output benchmarks/results/smoothing.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from art.estimators.classification import PyTorchClassifier

from fairart import create
from fairart.evaluation import evaluate

SHAPES = {"digits": (1, 8, 8), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
SIGMA, ALPHA, CLASSES = 0.25, 0.001, 10


def contenders(shape: tuple[int, int, int], number: int, n: int, batch_size: int, device: str) -> dict[str, Callable[[], Any]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create("model", "small-cnn", input_shape=shape, nb_classes=CLASSES).eval()
    common: dict[str, Any] = {
        "loss": torch.nn.CrossEntropyLoss(),
        "input_shape": shape,
        "nb_classes": CLASSES,
        "clip_values": (0, 1),
        "preprocessing": (0.3, 0.4),
        "device_type": "gpu" if device == "cuda" else "cpu",
    }
    ours, art = (
        PyTorchClassifier(model, **common),
        PyTorchRandomizedSmoothing(model, sample_size=100, scale=SIGMA, alpha=ALPHA, **common),
    )
    x = np.random.default_rng(0).random((number, *shape), dtype=np.float32)
    y = np.zeros(number, dtype=np.int64)
    options = {"sigma": SIGMA, "n": n, "n0": 100, "alpha": ALPHA}
    certificates = [("smoothing", options)]
    return {
        "ART": lambda: art.certify(x, n=n, batch_size=batch_size),
        "fairart": lambda: evaluate(
            ours, x, y, attacks=(), certificates=certificates, batch_size=batch_size, sanity_samples=0, verbose=False
        ),
    }


def measured(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in runs}
    names = list(runs)
    for place in range(rounds + 1):
        for name in names[place % len(names) :] + names[: place % len(names)]:
            wall, cpu = time.perf_counter(), time.process_time()
            runs[name]()
            if place:  # the first round warms up
                seconds[name]["wall"].append(time.perf_counter() - wall)
                seconds[name]["cpu"].append(time.process_time() - cpu)
    return {name: {kind: statistics.median(values) for kind, values in kinds.items()} for name, kinds in seconds.items()}


def measured_alone(shape: tuple[int, int, int], batch_size: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What :func:`measured` gives in a fresh process."""
    # Spawned and not forked: a fork would begin with this process's memory.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured_here, (shape, batch_size, arguments))


def _measured_here(shape: tuple[int, int, int], batch_size: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    torch.set_num_threads(arguments.threads)
    runs = contenders(shape, arguments.images, arguments.n, batch_size, arguments.device)
    return measured(runs, arguments.rounds)


def setting(name: str, batch_size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    processes = [measured_alone(SHAPES[name], batch_size, arguments) for _ in range(arguments.processes)]
    seconds = {
        who: {kind: statistics.median(times[who][kind] for times in processes) for kind in ("wall", "cpu")}
        for who in ("ART", "fairart")
    }
    ratios = {kind: [times["ART"][kind] / times["fairart"][kind] for times in processes] for kind in ("wall", "cpu")}
    ratio = {kind: statistics.median(values) for kind, values in ratios.items()}
    print(
        f"{name:14s} batch {batch_size:4d}: ART {seconds['ART']['cpu']:.3f} s CPU, fairart {seconds['fairart']['cpu']:.3f} s; "
        f"ratio {ratio['cpu']:.2f} CPU ({min(ratios['cpu']):.2f} to {max(ratios['cpu']):.2f}), {ratio['wall']:.2f} wall",
        flush=True,
    )
    found = {"images": name, "shape": SHAPES[name], "batch_size": batch_size}
    return {**found, "seconds": seconds, "ratio": ratio, "ratios_of_processes": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 512])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = [setting(name, batch_size, arguments) for name in SHAPES for batch_size in arguments.batch_sizes]
    if arguments.output is not None:
        names = ("n", "images", "rounds", "processes", "threads", "device")
        setup = {name: getattr(arguments, name) for name in names}
        memory = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
        about = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
        text = json.dumps({"setup": {**setup, "environment": memory}, "versions": about, "results": found}, indent=1)
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
