"""Which remedy for a long tail helps which kind of training: remedies x {standard, AT, TRADES}, clean and under PGD-20.

    python benchmarks/long_tail.py --dataset fashion-mnist --data-root DATA --output runs/long-tail

The learning rate of each cell is the one of ``--rates`` with the best balanced accuracy (clean for standard training, else under
PGD-20) on held-out training images, a fifth of each class, by one run of ``--selection-seed`` a rate; the test images are not
used for it. Every run has its own JSON, written when it is finished; the same command goes on after an interruption. A run that
fails, as one whose network answers one class for every input, stands as failed. Remedies that follow training are applied to the
plain run of the same seed.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fairart.engine import TrainingDivergedError
from fairart.engine.network.contract import ModelError
from fairart.evaluation import EvaluationError, EvaluationResult
from fairart.files import write_text
from fairart.runs.adjusting import adjust_run
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.run import train_run

LDAM_SCALE = 3.0
"""On plain logits; 30 is made for cosines. The learning rate is divided by it: steps are as large as those of the others."""
OBJECTIVES = ("standard", "at", "trades")
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "inverse-frequency": {"class_weighting": "inverse-frequency"},
    "effective-number": {"class_weighting": "effective-number"},
    "balanced-softmax": {"classification_loss": "balanced-softmax"},
    "ldam-drw": {"classification_loss": "ldam", "options": {"classification_loss.scale": LDAM_SCALE}},
    "focal": {"classification_loss": "focal"},
    "label smoothing": {"label_smoothing": 0.1},
    "balanced sampling": {"class_sampling": "balanced"},
}
AFTERWARDS = {"crt": "crt:5", "tau-norm": "tau-norm:1", "logit adjustment": "logit-adjustment:1"}
METRICS = ("accuracy", "balanced", "head", "middle", "tail")
ATTACK = ("pgd", {"label": "pgd-20", "max_iter": 20})


def settings(arguments: argparse.Namespace, objective: str, remedy: str, *, rate: float, seed: int, **more: Any) -> RunConfig:
    """A run of a cell."""
    return RunConfig(
        trainer=objective,
        dataset=arguments.dataset,
        data_root=arguments.data_root,
        per_class=arguments.per_class,
        imbalance=arguments.imbalance,
        epochs=arguments.epochs,
        lr=rate / (LDAM_SCALE if remedy == "ldam-drw" else 1.0),
        loss_scale="mean-one",
        eps=arguments.eps,
        seed=seed,
        device="cpu",
        **REMEDIES[remedy],
        **more,
    )


def numbers(result: EvaluationResult) -> dict[str, dict[str, float]]:
    """Metrics of each column of an evaluation."""
    counts = result.config["training_counts"]
    return {
        label: {"accuracy": attack.accuracy, **{k: v for k, v in attack.metrics(training_counts=counts).items() if k in METRICS}}
        for label, attack in result.items()
    }


def measured(arguments: argparse.Namespace, folder: Path, make: Callable[[], object], limit: str | None) -> dict[str, Any]:
    """The figures of a run, from its file where it is finished.

    Args:
        arguments: of the command line.
        folder: of the run.
        make: trains it into the folder.
        limit: images to evaluate on.
    """
    finished = folder / "cell.json"
    if finished.exists():
        found: dict[str, Any] = json.loads(finished.read_text())
        return found
    made: dict[str, Any] = {}
    try:
        make()
        result = evaluate_run(folder, [ATTACK], limit=limit, verbose=False, sanity_samples=0)
        made = {"numbers": numbers(result), "training_counts": result.config["training_counts"]}
        made["class_accuracy"] = {label: list(map(float, attack.class_accuracy)) for label, attack in result.items()}
    except (EvaluationError, ModelError, TrainingDivergedError) as error:
        made = {"failed": str(error)}
    write_text(finished, json.dumps(made, indent=1))
    return made


def chosen_rate(arguments: argparse.Namespace, objective: str, remedy: str) -> tuple[float, dict[str, float]]:
    """The rate of a cell, and what each rate came to on held-out images; 0 where its run failed."""
    column, tried = ("clean" if objective == "standard" else "pgd-20"), {}
    for rate in arguments.rates:
        folder = arguments.output / f"{objective} {remedy} rate {rate:g}".replace(" ", "_")
        seed = arguments.selection_seed
        config = settings(arguments, objective, remedy, rate=rate, seed=seed, validation_share=0.2)
        made = measured(arguments, folder, functools.partial(train_run, config, folder, resume=True, verbose=False), None)
        tried[f"{rate:g}"] = made["numbers"][column]["balanced"] if "numbers" in made else 0.0
    return float(max(tried, key=tried.__getitem__)), tried


def cell(arguments: argparse.Namespace, objective: str, remedy: str, seed: int) -> dict[str, Any]:
    """A cell's figures."""
    folder = arguments.output / f"{objective} {remedy} {seed}".replace(" ", "_")
    about: dict[str, Any] = {"objective": objective, "remedy": remedy, "seed": seed}
    if remedy in AFTERWARDS:
        base = arguments.output / f"{objective}_none_{seed}"
        make = functools.partial(adjust_run, base, AFTERWARDS[remedy], folder, overwrite=True, verbose=False)
    else:
        rate, tried = chosen_rate(arguments, objective, remedy)
        about |= {"rate": rate, "held_out": tried}
        config = settings(arguments, objective, remedy, rate=rate, seed=seed)
        make = functools.partial(train_run, config, folder, resume=True, verbose=False)
    return {**about, **measured(arguments, folder, make, arguments.limit)}


def table(cells: list[dict[str, Any]]) -> str:
    """Markdown: a row for each objective and remedy, mean and spread over the seeds, in per cent."""
    columns = [(label, metric) for label in ("clean", "pgd-20") for metric in ("balanced", "head", "tail")]
    lines = [
        "| training | remedy | rate | " + " | ".join(f"{label}, {metric}" for label, metric in columns) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(columns),
    ]
    for objective in OBJECTIVES:
        for remedy in (*REMEDIES, *AFTERWARDS):
            group = [one for one in cells if (one["objective"], one["remedy"]) == (objective, remedy)]
            own = [one["numbers"] for one in group if "numbers" in one]
            if group:
                rate = f"{group[0]['rate']:g}" if "rate" in group[0] else ""
                shown = [_spread([100 * one[label][metric] for one in own]) if own else "failed" for label, metric in columns]
                failed = f" ({len(group) - len(own)} of {len(group)} failed)" if len(own) < len(group) else ""
                lines.append(f"| {objective} | {remedy}{failed} | {rate} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--data-root")
    parser.add_argument("--imbalance", default="exp:100")
    parser.add_argument("--per-class", type=int, default=1500, help="images of the largest class")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.03], help="learning rates to choose from")
    parser.add_argument("--selection-seed", type=int, default=100)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--limit", default="200/class", help="test images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--result", type=Path, help="JSON file to write with all cells")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cells = []
    for seed in arguments.seeds:
        for objective in arguments.objectives:
            for remedy in (*REMEDIES, *AFTERWARDS):
                cells.append(cell(arguments, objective, remedy, seed))
                print(f"{objective}, {remedy}, seed {seed}: done", file=sys.stderr, flush=True)
    if arguments.result is not None:
        asked = {name: str(value) for name, value in vars(arguments).items() if name not in ("output", "result", "data_root")}
        write_text(arguments.result, json.dumps({"asked": asked, "cells": cells}, indent=1))
    print(table(cells))


if __name__ == "__main__":
    main()
