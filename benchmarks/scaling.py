"""Time and memory as the work grows: images, classes, pixels, batch and processes, with the fitted slope of each.

    python benchmarks/scaling.py --output benchmarks/results/scaling.json

Every point is a process of its own: FAIR-TAT (two PGD steps, class-wise budgets and targets, so that every class-wise table is in
use) trains epochs on random images, and evaluate attacks as many test images. The network is nearly free, so what grows is what
fairart adds. Points are measured in turns, several rounds, and the fastest counts: what else the machine does only slows down.
The slope is that of log(seconds) over log(size), over the upper half of the sizes; 1 is linear, 0 no growth. Memory is the peak
of the process less that of the smallest point. Processes (of Fabric, one thread each; needs the extra "devices") share one
epoch and one evaluation, and their memory is that of all of them together. --smoke runs two small sizes of each. Linux alone,
since it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from streaming import MIB, PeakMemory
from torch import nn

from fairart.evaluation import evaluate
from fairart.files import write_text
from fairart.runs.devices import leave
from fairart.trainers import FairTATTrainer

BASE = {"images": 20_000, "classes": 10, "side": 8, "batch": 128, "processes": 1}
AXES: dict[str, list[dict[str, int]]] = {
    "images": [{"images": n, "batch": 512} for n in (1_000, 10_000, 100_000, 1_000_000)],
    "classes": [{"classes": k} for k in (10, 32, 100, 320, 1000)],
    "pixels": [{"side": side, "images": 500} for side in (28, 56, 112, 224)],
    "batch": [{"batch": n} for n in (32, 64, 128, 256, 512, 1024)],
    # No more than cores: beyond that they only take turns.
    "processes": [{"processes": n, "images": 100_000, "batch": 1024} for n in (1, 2, 4, 8) if n <= max(2, os.cpu_count() or 1)],
}
SMOKE: dict[str, list[dict[str, int]]] = {
    "images": [{"images": n} for n in (200, 400)],
    "classes": [{"classes": k, "images": 200} for k in (10, 20)],
    "pixels": [{"side": side, "images": 50} for side in (8, 16)],
    "batch": [{"batch": n, "images": 200} for n in (32, 64)],
    "processes": [{"processes": n, "images": 200} for n in (1, 2)],
}
KEY = {"images": "images", "classes": "classes", "pixels": "side", "batch": "batch", "processes": "processes"}
FIGURES = ("train_seconds", "evaluate_seconds", "train_mib", "evaluate_mib")


def classifier_of(side: int, classes: int) -> PyTorchClassifier:
    """A network of averages over 4 x 4 squares, a pointwise convolution and a linear layer.

    No strided convolution: torch's input gradient of one with a large kernel jumps by a factor of ten between two sizes.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.AvgPool2d(side // 4), nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, side, side), classes, optimizer=optimizer, clip_values=(0.0, 1.0))


def point(*, images: int, classes: int, side: int, batch: int, processes: int = 1, fabric: Any = None) -> dict[str, float]:
    """Seconds of one epoch and of one evaluation, and the peak of memory in each, MiB.

    Args:
        images: random uint8 ones, for training and as many for the evaluation.
        classes: each with the same number of images, or nearly.
        side: height and width, pixels, a multiple of 4.
        batch: images at a time.
        processes: that share the work; more than one are started.
        fabric: that of the processes, in one of them.
    """
    if processes > 1 and fabric is None:
        return shared_point(processes, {"images": images, "classes": classes, "side": side, "batch": batch})
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (images, 1, side, side), dtype=np.uint8)
    y = np.arange(images) % classes
    classifier = classifier_of(side, classes)
    trainer = FairTATTrainer(classifier, eps=0.03, max_iter=2, fabric=fabric)
    with PeakMemory() as train_peak:
        trainer.fit(x, y, batch_size=batch, nb_epochs=3, seed=0)
    # The first epoch compiles and allocates.
    train_seconds = min(record.seconds for record in trainer.history[1:])
    attack = [("pgd", {"max_iter": 2, "eps": 0.03})]
    # Labels that the network agrees with: samples that are wrong already are not attacked.
    agreed = np.concatenate([trainer.predict(part.astype(np.float32) / 255).argmax(1) for part in np.array_split(x, 10)])
    with PeakMemory() as evaluate_peak:
        begin = time.perf_counter()
        evaluate(trainer.get_classifier(), x, agreed, attacks=attack, batch_size=batch, seed=0, sanity_samples=0, fabric=fabric)
        evaluate_seconds = time.perf_counter() - begin
    return {
        "train_seconds": train_seconds,
        "evaluate_seconds": evaluate_seconds,
        "train_mib": train_peak.peak / MIB,
        "evaluate_mib": evaluate_peak.peak / MIB,
    }


def shared_point(processes: int, sizes: dict[str, int]) -> dict[str, float]:
    """A point in several processes: the seconds of the slowest, and the memory of all of them."""
    from lightning_fabric import Fabric

    with tempfile.TemporaryDirectory() as folder:
        Fabric(accelerator="cpu", devices=processes, strategy="ddp_spawn").launch(in_a_process, folder, sizes)
        found = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    return {name: (max if name.endswith("seconds") else sum)(one[name] for one in found) for name in FIGURES}


def in_a_process(fabric: Any, folder: str, sizes: dict[str, int]) -> None:
    """One process of a shared point; leaves its figures in a file."""
    torch.set_num_threads(1)
    found = point(**sizes, processes=fabric.world_size, fabric=fabric)
    Path(folder, f"{fabric.global_rank}.json").write_text(json.dumps(found))
    leave()


def measure(sizes: dict[str, int]) -> dict[str, float]:
    """A point in a process of its own."""
    command = [sys.executable, __file__, "--point", json.dumps({**BASE, **sizes})]
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if found.returncode:
        raise RuntimeError(f"{sizes} failed: {found.stderr[-2000:]}")
    numbers: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return numbers


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Of log(value) over log(size) by least squares, over the upper half of the sizes: what is fixed weighs on the lower half.

    Args:
        sizes: positive, rising.
        values: positive.
    """
    lower = min(len(sizes) // 2, len(sizes) - 2)
    x, y = np.log(sizes[lower:]), np.log(values[lower:])
    return float(np.polyfit(x, y, 1)[0])


def curves(axes: dict[str, list[dict[str, int]]], rounds: int) -> dict[str, Any]:
    """Axis -> sizes, fastest figures, and slopes."""
    best: dict[tuple[str, int], dict[str, float]] = {}
    for _ in range(rounds):
        for axis, points in axes.items():
            for place, sizes in enumerate(points):
                found = measure(sizes)
                before = best.setdefault((axis, place), found)
                best[axis, place] = {name: min(before[name], found[name]) for name in found}
    curve: dict[str, Any] = {}
    for axis, points in axes.items():
        sizes = [{**BASE, **one}[KEY[axis]] for one in points]
        figures = {name: [best[axis, place][name] for place in range(len(points))] for name in FIGURES}
        # Area, not side, is what the work of an image grows with.
        x = [size**2 for size in sizes] if axis == "pixels" else sizes
        slopes = {name: slope(x, figures[name]) for name in ("train_seconds", "evaluate_seconds")}
        curve[axis] = {"sizes": sizes, **figures, "slopes": slopes}
    return curve


def table(found: dict[str, Any]) -> str:
    """Markdown: a line a point."""
    lines = [
        "| what grows | size | epoch, s | slope | evaluation, s | slope | memory above the smallest, MiB |",
        "|" + " --- |" * 7,
    ]
    for axis, curve in found.items():
        slopes = curve["slopes"]
        base = min(curve["train_mib"])
        for place, size in enumerate(curve["sizes"]):
            last = place == len(curve["sizes"]) - 1
            said = [f"{slopes[name]:.2f}" if last else "" for name in ("train_seconds", "evaluate_seconds")]
            more = max(curve["train_mib"][place], curve["evaluate_mib"][place]) - base
            times = [f"{curve[name][place]:.3g}" for name in ("train_seconds", "evaluate_seconds")]
            lines.append(f"| {axis} | {size} | {times[0]} | {said[0]} | {times[1]} | {said[1]} | {math.ceil(max(0.0, more))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write; an axis that is not measured now is kept")
    parser.add_argument("--only", choices=tuple(AXES), action="append", help="one axis; may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="each point so often; the fastest counts")
    parser.add_argument("--smoke", action="store_true", help="two small sizes of each axis")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(point(**json.loads(arguments.point))))
        return
    axes = {name: points for name, points in (SMOKE if arguments.smoke else AXES).items() if name in (arguments.only or AXES)}
    before = {}
    if arguments.output and arguments.output.exists():
        before = json.loads(arguments.output.read_text())["curves"]
    found = {**before, **curves(axes, 1 if arguments.smoke else arguments.rounds)}
    if arguments.output:
        machine = {"processor": platform.processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
        head = {"torch": torch.__version__, **machine, "base": BASE, "rounds": arguments.rounds}
        write_text(arguments.output, json.dumps({"settings": head, "curves": found}, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
