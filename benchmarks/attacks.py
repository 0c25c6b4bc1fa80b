"""Time and robust accuracy of the evaluation's attacks beside ART, torchattacks and the authors' AutoAttack.

Every contender gets the same images, the same trained network and the same batch size, and does the whole job: find the images
that are right, attack those, score the result. Contenders of a pair take turns in one process, in rotating order, so that a busy
machine slows all; medians over the rounds are compared. CPU time stands beside wall time.

    pip install pyautoattack
    pip install --no-deps torchattacks
    python benchmarks/attacks.py --dataset fashion-mnist --data-root data --output attacks.json

On a GPU, with --device cuda, CPU time says little: look at wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from art.attacks.evasion import AutoAttack as ARTAutoAttack
from art.attacks.evasion import ProjectedGradientDescentPyTorch, SquareAttack
from art.estimators.classification import PyTorchClassifier

from fairart import create
from fairart.evaluation import evaluate
from fairart.evaluation.sanity import SANITY_SAMPLES
from fairart.trainers import ATTrainer

Robust = Callable[[int], np.ndarray[Any, Any]]
"""Seed -> (n,) whether each image is right before and after."""


@dataclass
class Subject:
    classifier: PyTorchClassifier
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    eps: float
    batch_size: int

    def first(self, number: int) -> Subject:
        return Subject(self.classifier, self.x[:number], self.y[:number], self.eps, self.batch_size)

    @property
    def device(self) -> torch.device:
        return torch.device(self.classifier.device)

    def right(self) -> np.ndarray[Any, Any]:
        return self.classifier.predict(self.x, batch_size=self.batch_size).argmax(axis=1) == self.y

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.x).to(self.device), torch.from_numpy(self.y).to(self.device)


def trained(arguments: argparse.Namespace) -> Subject:
    options = {"data_root": arguments.data_root} if arguments.data_root else {}
    data = create("dataset", arguments.dataset, **options)
    shape = tuple(data.x_train.shape[1:])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"width": arguments.width} if arguments.width else {}
        model = create("model", arguments.model, input_shape=shape, nb_classes=data.nb_classes, **options)
    classifier = PyTorchClassifier(
        model,
        torch.nn.CrossEntropyLoss(),
        shape,
        data.nb_classes,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        clip_values=(0, 1),
        device_type="gpu" if arguments.device == "cuda" else "cpu",
    )
    number = min(len(data.y_train), arguments.train_images)
    trainer = ATTrainer(classifier, eps=arguments.eps, eps_step=arguments.eps / 4, max_iter=5)
    trainer.fit(data.x_train[:number], data.y_train[:number], batch_size=128, nb_epochs=arguments.epochs, seed=0)
    model.eval()
    x, y = np.asarray(data.x_test), np.asarray(data.y_test, dtype=np.int64)
    x = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
    order = np.random.default_rng(0).permutation(len(y))
    return Subject(classifier, x[order], y[order], arguments.eps, arguments.batch_size)


def ours(subject: Subject, name: str, *, sanity_samples: int = 0, **options: Any) -> Robust:
    """``evaluate``; without its sanity checks it does what the others do."""

    def run(seed: int) -> np.ndarray[Any, Any]:
        result = evaluate(
            subject.classifier,
            subject.x,
            subject.y,
            attacks=[(name, {"eps": subject.eps, **options})],
            batch_size=subject.batch_size,
            seed=seed,
            sanity_samples=sanity_samples,
            verbose=False,
        )
        return result[name].correct

    return run


def of_art(subject: Subject, make: Callable[[], Any]) -> Robust:
    def run(seed: int) -> np.ndarray[Any, Any]:
        np.random.seed(seed)  # noqa: NPY002  # ART draws from the global states
        torch.manual_seed(seed)
        robust = subject.right()
        found = make().generate(subject.x[robust], subject.y[robust])
        robust[robust] = subject.classifier.predict(found, batch_size=subject.batch_size).argmax(axis=1) == subject.y[robust]
        return robust

    return run


def batched(subject: Subject, attack: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> np.ndarray[Any, Any]:
    """The outcome of an attack on torch batches."""
    x, y = subject.tensors()
    model = subject.classifier.model

    def right(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            parts = zip(images.split(subject.batch_size), labels.split(subject.batch_size), strict=True)
            return torch.cat([model(part).argmax(dim=1) == label for part, label in parts])

    robust = right(x, y)
    parts = zip(x[robust].split(subject.batch_size), y[robust].split(subject.batch_size), strict=True)
    robust[robust.clone()] = right(torch.cat([attack(part, label) for part, label in parts]), y[robust])
    return robust.cpu().numpy()


def pgd(subject: Subject) -> dict[str, Robust]:
    eps, step = subject.eps, subject.eps / 4
    contenders = {
        "fairart": ours(subject, "pgd", eps_step=step, max_iter=20),
        "with checks": ours(subject, "pgd", eps_step=step, max_iter=20, sanity_samples=SANITY_SAMPLES),
        "ART": of_art(
            subject,
            lambda: ProjectedGradientDescentPyTorch(
                subject.classifier,
                eps=eps,
                eps_step=step,
                max_iter=20,
                num_random_init=1,
                batch_size=subject.batch_size,
                verbose=False,
            ),
        ),
    }
    if importlib.util.find_spec("torchattacks") is not None:
        import torchattacks

        def run(seed: int) -> np.ndarray[Any, Any]:
            torch.manual_seed(seed)
            attack = torchattacks.PGD(subject.classifier.model, eps=eps, alpha=step, steps=20, random_start=True)
            return batched(subject, attack)

        contenders["torchattacks"] = run
    return contenders


def square(subject: Subject, queries: int) -> dict[str, Robust]:
    size = subject.batch_size
    contenders = {
        "fairart": ours(subject, "square", max_iter=queries),
        "ART": of_art(
            subject,
            lambda: SquareAttack(subject.classifier, max_iter=queries, eps=subject.eps, batch_size=size, verbose=False),
        ),
    }
    if importlib.util.find_spec("pyautoattack") is not None:
        from pyautoattack.square import SquareAttack as ReferenceSquare

        def run(seed: int) -> np.ndarray[Any, Any]:
            attack = ReferenceSquare(
                subject.classifier.model, n_queries=queries, eps=subject.eps, seed=seed, resc_schedule=True, device=subject.device
            )
            return batched(subject, attack.perturb)

        contenders["pyautoattack"] = run
    return contenders


def without(robust: Robust, name: str, replacement: Any) -> Robust:
    """fairart's AutoAttack without one of its savings."""

    def run(seed: int) -> np.ndarray[Any, Any]:
        with mock.patch(f"fairart.evaluation.attacks.autoattack.{name}", replacement):
            return robust(seed)

    return run


def autoattack(subject: Subject, art: bool, savings: bool = False, half: bool = False) -> dict[str, Robust]:
    from pyautoattack import AutoAttack

    def run(seed: int) -> np.ndarray[Any, Any]:
        x, y = subject.tensors()
        suite = AutoAttack(subject.classifier.model, eps=subject.eps, seed=seed, device=subject.device)
        return (suite.run_standard_evaluation(x, y, batch_size=subject.batch_size)[1] == y).cpu().numpy()

    def make() -> ARTAutoAttack:
        attack = ARTAutoAttack(subject.classifier, eps=subject.eps, eps_step=2 * subject.eps, batch_size=subject.batch_size)
        for member in attack.attacks:
            member.verbose, member.batch_size = False, subject.batch_size
        return attack

    own = ours(subject, "autoattack")
    contenders = {"fairart": own, "pyautoattack": run, **({"ART": of_art(subject, make)} if art else {})}
    if half:
        contenders["in bfloat16"] = ours(subject, "autoattack", precision="bf16")
    if savings:
        contenders["network as it is"] = without(own, "with_fixed_weights", lambda *_: contextlib.nullcontext())
        contenders["targets one by one"] = without(own, "try_targets_together", lambda *_: None)
    return contenders


def measured(contenders: dict[str, Robust], rounds: int) -> dict[str, dict[str, Any]]:
    """Contender -> of each round the seconds, the robust accuracy and how many images end otherwise than by fairart."""
    columns = ("cpu", "wall", "robust_accuracy", "other_outcomes")
    table: dict[str, dict[str, Any]] = {name: {column: [] for column in columns} for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        outcomes = {}
        for name in names[number % len(names) :] + names[: number % len(names)]:
            wall, cpu = time.perf_counter(), time.process_time()
            outcomes[name] = robust = contenders[name](number)
            table[name]["cpu"].append(time.process_time() - cpu)
            table[name]["wall"].append(time.perf_counter() - wall)
            table[name]["robust_accuracy"].append(float(robust.mean()))
        for name, robust in outcomes.items():
            table[name]["other_outcomes"].append(int((robust != outcomes["fairart"]).sum()))
    for name in names:
        for clock in ("cpu", "wall"):
            ratios = [own / other for own, other in zip(table["fairart"][clock], table[name][clock], strict=True)]
            table[name][f"fairart/{clock}"] = statistics.median(ratios)
    return table


def show(title: str, table: dict[str, dict[str, Any]]) -> None:
    print(f"\n{title}")
    print(f"{'':18}{'CPU s':>9}{'wall s':>9}  {'ours / it, CPU':>15}{'wall':>8}   robust accuracy (images that end otherwise)")
    for name, row in table.items():
        cpu, wall = statistics.median(row["cpu"]), statistics.median(row["wall"])
        seeds = zip(row["robust_accuracy"], row["other_outcomes"], strict=True)
        accuracy = ", ".join(f"{100 * value:.1f} ({other})" for value, other in seeds)
        print(f"{name:18}{cpu:9.2f}{wall:9.2f}  {row['fairart/cpu']:15.2f}{row['fairart/wall']:8.2f}   {accuracy}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--model", default="small-cnn")
    parser.add_argument("--width", type=int, help="of the model, by default its own")
    parser.add_argument("--data-root", help="where the data set's files are")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train-images", type=int, default=10000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--only", action="append", choices=("pgd", "square", "autoattack"))
    parser.add_argument("--images", type=int, nargs=3, default=(1000, 300, 100), metavar="N", help="for PGD, Square, AutoAttack")
    parser.add_argument("--rounds", type=int, nargs=3, default=(7, 3, 3), metavar="N", help="for PGD, Square, AutoAttack")
    parser.add_argument("--queries", type=int, default=1000, help="of Square Attack")
    parser.add_argument("--without-art", action="store_true", help="leave ART's ensemble out, which takes many times as long")
    parser.add_argument("--savings", action="store_true", help="AutoAttack also without each way of saving time")
    parser.add_argument("--bf16", action="store_true", help="AutoAttack also with precision=bf16")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    subject = trained(arguments)
    titles = {
        "pgd": "PGD-20",
        "square": f"Square Attack, {arguments.queries} queries",
        "autoattack": "AutoAttack, standard (ART: its own ensemble)",
    }
    makers = {
        "pgd": pgd,
        "square": lambda part: square(part, arguments.queries),
        "autoattack": lambda part: autoattack(part, not arguments.without_art, arguments.savings, arguments.bf16),
    }
    results = {}
    for (name, make), images, rounds in zip(makers.items(), arguments.images, arguments.rounds, strict=True):
        if arguments.only and name not in arguments.only:
            continue
        if name == "autoattack" and importlib.util.find_spec("pyautoattack") is None:
            print("\nAutoAttack is left out: pip install pyautoattack")
            continue
        part = subject.first(images)
        ours_once = make(part.first(16))["fairart"]
        ours_once(0)  # what is imported and allocated the first time
        table = measured(make(part), rounds)
        clean = float(part.right().mean())
        results[name] = {"images": len(part.y), "clean_accuracy": clean, "contenders": table}
        detail = f"{len(part.y)} images of {arguments.dataset}, eps {arguments.eps:g}, clean accuracy {100 * clean:.1f}"
        show(f"{titles[name]}: {detail}", table)
    if arguments.output:
        settings = {name: value for name, value in vars(arguments).items() if name not in ("data_root", "output")}
        machine = {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
        temporary = arguments.output.with_suffix(".tmp")
        temporary.write_text(json.dumps({"settings": settings, "machine": machine, "results": results}, indent=1) + "\n")
        temporary.replace(arguments.output)


if __name__ == "__main__":
    main()
