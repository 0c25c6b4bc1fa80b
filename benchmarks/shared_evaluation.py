"""Evaluations shared by processes: how fast they are beside one process, and AutoAttack beside the authors' package.

    pip install pyautoattack
    python benchmarks/shared_evaluation.py --dataset fashion-mnist --output benchmarks/results/shared_evaluation.json

small-cnn, trained by AT for a few epochs, is evaluated by PGD-20, AutoAttack, randomised smoothing and on corrupted images. Two
processes stay for the whole measurement and take turns, so that whatever else the machine does weighs on all alike:

- shared: two processes of one thread each share the batches (``evaluate(..., fabric=fabric)``).
- threads: one process with two threads, the other one waits.
- single: one process with one thread.
- package: pyautoattack with two threads, for AutoAttack alone; all images are one batch.

All times are by the wall clock, of a whole call of ``evaluate`` without sanity checks. Efficiency is threads / shared, scaling is
single / (2 shared), each the median over the rounds of the ratio within a round. Every outcome of *shared* is compared with those
of *threads*, image by image; those of the package may differ in a few, as it draws for another batch.

--smoke tries all of it at toy size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from lightning_fabric import Fabric
from processes import Leaving
from torch import nn

from fairart import create
from fairart.evaluation import evaluate
from fairart.files import write_text
from fairart.trainers import ATTrainer

EPS = 0.1
PARTS: dict[str, dict[str, Any]] = {
    "PGD-20": {"images": 2000, "batch_size": 256, "attacks": [("pgd", {"eps": EPS, "max_iter": 20})]},
    "AutoAttack": {"images": 400, "batch_size": 132, "attacks": [("autoattack", {"eps": EPS})]},
    "smoothing": {"images": 400, "batch_size": 512, "certificates": [("smoothing", {"sigma": 0.25, "n": 1000})]},
    "corruptions": {"images": 10_000, "batch_size": 256, "corruptions": "paper18", "severities": [3]},
}
"""What is evaluated: images, and arguments of ``evaluate``."""
FULL = {"threads": 2, "rounds": 3, "train_images": 4000, "epochs": 3, "width": None, "parts": PARTS}
SMOKE = {
    **FULL,
    "threads": 1,
    "rounds": 1,
    "train_images": 200,
    "epochs": 1,
    "width": 2,
    "parts": {
        "PGD-20": {**PARTS["PGD-20"], "images": 60, "batch_size": 20},
        "AutoAttack": {
            "images": 30,
            "batch_size": 10,
            "attacks": [("autoattack", {"eps": EPS, "version": "custom", "attacks_to_run": ("apgd-ce",), "n_iter": 2})],
        },
    },
}


def classifier_of(settings: dict[str, Any], data: Any) -> PyTorchClassifier:
    """small-cnn with SGD, for images in [0, 1]."""
    shape = tuple(data.x_train.shape[1:])
    options = {"width": settings["width"]} if settings["width"] else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create("model", "small-cnn", input_shape=shape, nb_classes=data.nb_classes, **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    return PyTorchClassifier(model, loss, shape, data.nb_classes, optimizer=optimizer, clip_values=(0, 1), device_type="cpu")


def loaded(settings: dict[str, Any]) -> Any:
    """The data set of a measurement."""
    options = {"data_root": settings["data_root"]} if settings["data_root"] else {}
    return create("dataset", settings["dataset"], **options)


def train(settings: dict[str, Any], file: Path) -> None:
    """Train the network and leave its weights in a file."""
    data, number = loaded(settings), settings["train_images"]
    classifier = classifier_of(settings, data)
    trainer = ATTrainer(classifier, eps=EPS, eps_step=EPS / 4, max_iter=5)
    trainer.fit(data.x_train[:number], data.y_train[:number], batch_size=128, nb_epochs=settings["epochs"], seed=0, verbose=False)
    torch.save(classifier.model.state_dict(), file)


def outcome(classifier: PyTorchClassifier, x: Any, y: Any, part: dict[str, Any], fabric: Any) -> list[int]:
    """What an evaluation finds: predictions under the attack, certified ones, or those on corrupted images."""
    options = {"attacks": (), **{name: value for name, value in part.items() if name != "images"}}
    result = evaluate(classifier, x, y, **options, seed=0, sanity_samples=0, fabric=fabric, verbose=False)
    if part.get("attacks"):
        return list(map(int, result[part["attacks"][0][0]].predictions))
    if part.get("certificates"):
        return list(map(int, result.certificates["smoothing"].predictions))
    return [int(value) for found in result.corruptions.values() for value in found.predictions]


def of_the_package(classifier: PyTorchClassifier, x: np.ndarray, y: np.ndarray) -> list[int]:
    """The same of pyautoattack, as its users call it."""
    from pyautoattack import AutoAttack

    suite = AutoAttack(classifier.model.eval(), eps=EPS, seed=0, device=torch.device("cpu"))
    return suite.run_standard_evaluation(torch.from_numpy(x), torch.from_numpy(y), batch_size=len(x))[1].tolist()


def take_turns(fabric: Any, folder: str, settings: dict[str, Any]) -> None:
    """Time every turn of every round; the first process writes ``found.json``: part -> turn -> seconds, and outcomes."""
    data = loaded(settings)
    classifier = classifier_of(settings, data)
    classifier.model.load_state_dict(torch.load(Path(folder, "weights.pt"), weights_only=True))
    order = np.random.default_rng(0).permutation(len(data.y_test))
    x, y = np.asarray(data.x_test)[order], np.asarray(data.y_test, dtype=np.int64)[order]
    x = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
    found: dict[str, Any] = {}
    for name, part in settings["parts"].items():
        images, labels = x[: part["images"]], y[: part["images"]]
        turns = ("shared", "threads", "single", *(("package",) if name == "AutoAttack" and not settings["smoke"] else ()))
        times: dict[str, list[float]] = {turn: [] for turn in turns}
        outcomes: dict[str, list[int]] = {}
        # Not timed: what is loaded and allocated at the first batch.
        outcome(classifier, images[:10], labels[:10], part, None)
        for number in range(settings["rounds"]):
            shift = number % len(turns)
            for turn in (*turns[shift:], *turns[:shift]):
                torch.set_num_threads(settings["threads"] if turn in ("threads", "package") else 1)
                fabric.barrier()
                begin = time.perf_counter()
                if turn == "shared":
                    outcomes[turn] = outcome(classifier, images, labels, part, fabric)
                elif fabric.global_rank == 0:
                    run = of_the_package if turn == "package" else lambda *given, part=part: outcome(*given, part, None)
                    outcomes[turn] = run(classifier, images, labels)
                fabric.barrier()
                times[turn].append(time.perf_counter() - begin)
        if fabric.global_rank == 0:
            differing = {turn: differences(outcomes["threads"], outcomes[turn], labels) for turn in turns}
            found[name] = {"seconds": times, "different": differing, **ratios(times), "images": len(images)}
    if fabric.global_rank == 0:
        write_text(Path(folder, "found.json"), json.dumps(found))


def differences(one: list[int], other: list[int], labels: np.ndarray) -> int:
    """How many images are right in one outcome and wrong in another one."""
    rounds = len(one) // len(labels)
    truth = np.tile(labels, rounds)
    return int(((np.array(one) == truth) != (np.array(other) == truth)).sum())


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """Efficiency and scaling, and the share of the package's time: medians over the rounds."""
    shared = times["shared"]
    found = {
        "efficiency": statistics.median(other / own for own, other in zip(shared, times["threads"], strict=True)),
        "scaling": statistics.median(other / (2 * own) for own, other in zip(shared, times["single"], strict=True)),
    }
    if "package" in times:
        found["shared / package"] = statistics.median(own / it for own, it in zip(shared, times["package"], strict=True))
        found["threads / package"] = statistics.median(
            own / it for own, it in zip(times["threads"], times["package"], strict=True)
        )
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown: a line for each part."""
    lines = ["| part | images | shared, s | threads, s | single, s | package, s | efficiency | scaling | shared / package |"]
    lines.append("|" + " --- |" * 9)
    for name, one in found["parts"].items():
        seconds = [one["seconds"].get(turn) for turn in ("shared", "threads", "single", "package")]
        shown = [f"{statistics.median(values):.1f}" if values else "" for values in seconds]
        share = f"{one['shared / package']:.2f}" if "shared / package" in one else ""
        cells = [name, str(one["images"]), *shown, f"{one['efficiency']:.2f}", f"{one['scaling']:.2f}", share]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-root", help="where the data set's files are")
    parser.add_argument("--only", choices=tuple(PARTS), action="append", help="one part; may be given again")
    parser.add_argument("--rounds", type=int, help="of each turn")
    parser.add_argument("--output", type=Path, help="JSON to write; a part that is not measured now is kept")
    parser.add_argument("--smoke", action="store_true", help="all of it at toy size")
    arguments = parser.parse_args()
    settings: dict[str, Any] = dict(SMOKE if arguments.smoke else FULL)
    settings.update(dataset=arguments.dataset, data_root=arguments.data_root, smoke=arguments.smoke)
    settings["rounds"] = arguments.rounds or settings["rounds"]
    if arguments.only:
        settings["parts"] = {name: settings["parts"][name] for name in arguments.only}
    found: dict[str, Any] = {"parts": {}}
    if arguments.output and arguments.output.exists():
        found = json.loads(arguments.output.read_text())
    with tempfile.TemporaryDirectory() as folder:
        train(settings, Path(folder, "weights.pt"))
        Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn").launch(Leaving(take_turns), folder, settings)
        found["parts"].update(json.loads(Path(folder, "found.json").read_text()))
    about = {"torch": torch.__version__, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    found["settings"] = {**about, **{name: value for name, value in settings.items() if name != "data_root"}}
    if arguments.output:
        write_text(arguments.output, json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
