"""Training shared by processes: how fast it is beside one process, and how far its results are from those of one.

    python benchmarks/processes.py --output benchmarks/results/processes.json

Speed: AT and TRADES (PGD-10) on random images of CIFAR-10's shape, in two processes that stay for the whole measurement and take
turns, so that whatever else the machine does weighs on all alike:

- shared: two processes of one thread each share every batch (Lightning Fabric, gloo).
- threads: one process with two threads has whole batches; the other one waits.
- single: one process with one thread has whole batches.
- apart: each process with one thread trains on its own half, without a word to the other: what the machine gives two processes.

Efficiency is threads / shared; scaling is single / (2 shared), and apart / shared is what sharing itself costs. Each is
the median over the rounds of the ratio within a round.

Results: one run on digits, split among 1, 2 and 4 processes, in float64 without batch-norm and in float32 with it; compared are
the confusion matrices of all epochs and of the trained network on the test images, clean and under PGD.

--smoke tries all of it at toy size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from lightning_fabric import Fabric
from torch import nn

from fairart import create
from fairart.evaluation import evaluate
from fairart.files import write_text
from fairart.runs.devices import leave

CLASSES = 10
BUDGET = {"eps": 8 / 255, "eps_step": 2 / 255, "max_iter": 10}
MODELS: dict[str, dict[str, Any]] = {
    "small-cnn": {"options": {}, "batch": 128, "batches": 16},
    "preact-resnet-18": {"options": {"width": 8}, "batch": 64, "batches": 6},
}
"""Options of each model, samples of a batch, and batches of an epoch: as many as take about two seconds."""
METHODS = ("at", "trades")
TURNS = ("shared", "threads", "single", "apart")
CASES = {"float64, no batch-norm": False, "float32, batch-norm": True}
FULL = {
    "side": 32,
    "threads": 2,
    "rounds": 7,
    "models": MODELS,
    "methods": METHODS,
    "epochs": 4,
    "splits": (1, 2, 4),
    "split_batch": 128,
}
SMOKE = {
    **FULL,
    "side": 8,
    # Two that wait for each other on a busy machine take minutes.
    "threads": 1,
    "rounds": 1,
    "models": {"small-cnn": {"options": {"width": 2}, "batch": 16, "batches": 2}},
    "methods": ("at",),
    "epochs": 1,
    "splits": (1, 2),
    "split_batch": 16,
}


class Leaving:
    """A function of this module after which the processes end their group."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> None:
        self.function(*arguments)
        leave()


def together(processes: int, function: Callable[..., None], *arguments: Any) -> None:
    """Run a function in new processes, one in this one, with a launched Fabric."""
    if processes == 1:
        alone = Fabric(accelerator="cpu", devices=1)
        alone.launch()
        function(alone, *arguments)
        return
    Fabric(accelerator="cpu", devices=processes, strategy="ddp_spawn").launch(Leaving(function), *arguments)


def classifier_of(model: nn.Module, shape: tuple[int, ...]) -> PyTorchClassifier:
    """The model with SGD, for images in [0, 1]."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, CLASSES, optimizer=optimizer, clip_values=(0.0, 1.0))


def seconds_of_an_epoch(method: str, model: str, settings: dict[str, Any], *, share: int, fabric: Any = None) -> float:
    """Train an epoch on random images, and time it.

    Args:
        method: name of a trainer.
        model: name of a model.
        settings: sizes, as ``FULL`` has them.
        share: that the images are divided by, and the batches.
        fabric: shares every batch; None for one process.
    """
    sizes, side = settings["models"][model], settings["side"]
    batch = sizes["batch"] // share
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (batch * sizes["batches"], 3, side, side), dtype=np.uint8)
    y = np.arange(len(x)) % CLASSES
    torch.manual_seed(0)
    network = create("model", model, input_shape=(3, side, side), nb_classes=CLASSES, **sizes["options"])
    trainer = create("trainer", method, classifier=classifier_of(network, (3, side, side)), fabric=fabric, **BUDGET)
    trainer.fit(x, y, batch_size=batch, nb_epochs=1, seed=0, verbose=False)
    seconds: float = trainer.history[-1].seconds
    return seconds


def take_turns(fabric: Any, folder: str, settings: dict[str, Any]) -> None:
    """Time every turn of every round; the first process writes ``speed.json``: model -> method -> turn -> seconds of an epoch."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    # Not timed: what is loaded and allocated at the first step.
    seconds_of_an_epoch(settings["methods"][0], next(iter(settings["models"])), settings, share=2)
    alone = {"threads": settings["threads"], "single": 1}
    for model in settings["models"]:
        for method in settings["methods"]:
            times: dict[str, list[float]] = {turn: [] for turn in TURNS}
            for number in range(settings["rounds"]):
                # Another order in every round: what comes first finds a cooler processor.
                for turn in (*TURNS[number % len(TURNS) :], *TURNS[: number % len(TURNS)]):
                    fabric.barrier()
                    torch.set_num_threads(alone.get(turn, 1))
                    seconds = 0.0
                    if turn == "shared":
                        seconds = seconds_of_an_epoch(method, model, settings, share=1, fabric=fabric)
                    elif turn == "apart":
                        seconds = seconds_of_an_epoch(method, model, settings, share=2)
                    elif fabric.global_rank == 0:
                        seconds = seconds_of_an_epoch(method, model, settings, share=1)
                    # The slower process: the other one waits for it.
                    slowest = fabric.all_reduce(torch.tensor(seconds), reduce_op="max")
                    times[turn].append(float(slowest))
            found.setdefault(model, {})[method] = times
    if fabric.global_rank == 0:
        write_text(Path(folder, "speed.json"), json.dumps(found))


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """Efficiency, scaling and cost of sharing: medians over the rounds.

    Args:
        times: turn -> seconds of an epoch, round by round.
    """
    rounds = list(zip(*(times[turn] for turn in TURNS), strict=True))
    return {
        "efficiency": statistics.median(threads / shared for shared, threads, _, _ in rounds),
        "scaling": statistics.median(single / (2 * shared) for shared, _, single, _ in rounds),
        "sharing": statistics.median(apart / shared for shared, _, _, apart in rounds),
    }


def without_batch_norm(model: nn.Module) -> nn.Module:
    """The model with every batch-norm exchanged for nothing, in place."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            setattr(model, name, nn.Identity())
        else:
            without_batch_norm(child)
    return model


def train_a_split(fabric: Any, folder: str, settings: dict[str, Any]) -> None:
    """Train on digits in all the processes of a Fabric; the first one writes what it found into ``<processes>.json``."""
    torch.set_num_threads(1)
    data = create("dataset", "digits")
    batch = settings["split_batch"]
    x, y = data.x_train[: 20 * batch], data.y_train[: 20 * batch]
    found: dict[str, Any] = {}
    for case, batch_norm in CASES.items():
        for method in settings["methods"]:
            torch.manual_seed(0)
            model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=CLASSES, width=4)
            if not batch_norm:
                model = without_batch_norm(model).double()
            classifier = classifier_of(model, (1, 8, 8))
            trainer = create("trainer", method, classifier=classifier, fabric=fabric, eps=0.1, eps_step=0.025, max_iter=10)
            trainer.fit(x, y, batch_size=batch, nb_epochs=settings["epochs"], seed=0, verbose=False)
            if fabric.global_rank == 0:
                found.setdefault(case, {})[method] = {
                    "epochs": [record.robust.counts.tolist() for record in trainer.history],
                    **tested(classifier.model, data.x_test, data.y_test),
                }
    if fabric.global_rank == 0:
        write_text(Path(folder, f"{fabric.world_size}.json"), json.dumps(found))


def tested(model: nn.Module, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Confusion matrices on the test images, in float32, clean and under PGD-10."""
    classifier = classifier_of(model.float(), (1, 8, 8))
    attack = [("pgd", {"eps": 0.1, "eps_step": 0.025, "max_iter": 10})]
    result = evaluate(classifier, x, y, attacks=attack, batch_size=512, seed=0, sanity_samples=0, verbose=False)
    return {name: result[name].confusion.counts.tolist() for name in ("clean", "pgd")}


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """How far two runs are apart.

    Returns:
        ``equal``: whether every confusion matrix is the same; for training epochs, clean and attacked test images the share of
        samples that lie in another cell; and the largest difference of an accuracy of a class on the test images.
    """
    shares, largest = {}, 0.0
    for name in ("epochs", "clean", "pgd"):
        mine, theirs = np.array(one[name]), np.array(other[name])
        shares[name] = float(np.abs(mine - theirs).sum() / (2 * mine.sum()))
        if name != "epochs":
            rates = [np.diag(counts) / counts.sum(1).clip(min=1) for counts in (mine, theirs)]
            largest = max(largest, float(np.abs(rates[0] - rates[1]).max()))
    return {"equal": not any(shares.values()), "moved": shares, "largest_class_difference": largest}


def splits(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Case -> method -> number of processes -> difference from one process."""
    with tempfile.TemporaryDirectory() as folder:
        for processes in settings["splits"]:
            together(processes, train_a_split, folder, settings)
        runs = {number: json.loads(Path(folder, f"{number}.json").read_text()) for number in settings["splits"]}
    first, *others = settings["splits"]
    yield {
        case: {
            method: {str(number): difference(runs[first][case][method], runs[number][case][method]) for number in others}
            for method in settings["methods"]
        }
        for case in CASES
    }


def speed(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Model -> method -> seconds of each turn, and ratios: what is known after each model."""
    known: dict[str, Any] = {}
    for model, options in settings["models"].items():
        with tempfile.TemporaryDirectory() as folder:
            together(2, take_turns, folder, {**settings, "models": {model: options}})
            found = json.loads(Path(folder, "speed.json").read_text())
        known[model] = {method: {"seconds": times, **ratios(times)} for method, times in found[model].items()}
        yield known


def table(found: dict[str, Any]) -> str:
    """Markdown: a line for each model and method, and one for each split."""
    lines = ["| model | method | efficiency | scaling | apart / shared |", "|" + " --- |" * 5]
    for model, methods in found.get("speed", {}).items():
        for method, one in methods.items():
            values = " | ".join(f"{one[name]:.2f}" for name in ("efficiency", "scaling", "sharing"))
            lines.append(f"| {model} | {method} | {values} |")
    lines += ["", "| run | method | processes | training, % moved | clean, % | PGD, % | a class at most |", "|" + " --- |" * 7]
    for case, methods in found.get("splits", {}).items():
        for method, numbers in methods.items():
            for number, one in numbers.items():
                moved = " | ".join(f"{100 * one['moved'][name]:.2f}" for name in ("epochs", "clean", "pgd"))
                lines.append(f"| {case} | {method} | {number} | {moved} | {100 * one['largest_class_difference']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write; a part that is not measured now is kept")
    parser.add_argument("--only", choices=("speed", "splits"), help="one of the two measurements")
    parser.add_argument("--rounds", type=int, help="of each turn")
    parser.add_argument("--smoke", action="store_true", help="all of it at toy size")
    arguments = parser.parse_args()
    settings = dict(SMOKE if arguments.smoke else FULL)
    if arguments.rounds:
        settings["rounds"] = arguments.rounds
    found: dict[str, Any] = {}
    if arguments.output and arguments.output.exists():
        found = json.loads(arguments.output.read_text())
    for name, measure in (("speed", speed), ("splits", splits)):
        if arguments.only not in (None, name):
            continue
        for known in measure(settings):
            found[name] = known
            found["settings"] = {"torch": torch.__version__, "cores": os.cpu_count(), "load": os.getloadavg()[0], **settings}
            if arguments.output:
                write_text(arguments.output, json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
