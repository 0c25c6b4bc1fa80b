"""Which remedy for a long tail helps which kind of training: remedies x {standard, AT, TRADES}, clean and under PGD-20.

    python benchmarks/long_tail.py --dataset fashion-mnist --data-root DATA --output runs/long-tail

Every cell is a run of its own with its own JSON, written when it is finished; the same command goes on after an interruption.
Remedies that follow training are applied to the plain run of the same seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from fairart.evaluation import EvaluationResult
from fairart.files import write_text
from fairart.runs.adjusting import adjust_run
from fairart.runs.config import RunConfig
from fairart.runs.run import evaluate_run, train_run

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


def settings(arguments: argparse.Namespace, objective: str, remedy: str, seed: int) -> RunConfig:
    """The run of a cell."""
    return RunConfig(
        trainer=objective,
        dataset=arguments.dataset,
        data_root=arguments.data_root,
        per_class=arguments.per_class,
        imbalance=arguments.imbalance,
        epochs=arguments.epochs,
        lr=arguments.lr / (LDAM_SCALE if remedy == "ldam-drw" else 1.0),
        loss_scale="mean-one",
        eps=arguments.eps,
        seed=seed,
        device="cpu",
        **REMEDIES[remedy],
    )


def numbers(result: EvaluationResult) -> dict[str, dict[str, float]]:
    """Metrics of each column of an evaluation."""
    counts = result.config["training_counts"]
    return {
        label: {"accuracy": attack.accuracy, **{k: v for k, v in attack.metrics(training_counts=counts).items() if k in METRICS}}
        for label, attack in result.items()
    }


def cell(arguments: argparse.Namespace, objective: str, remedy: str, seed: int) -> dict[str, Any]:
    """A cell's figures, from its file where it is finished."""
    folder = arguments.output / f"{objective} {remedy} {seed}".replace(" ", "_")
    finished = folder / "cell.json"
    if finished.exists():
        found: dict[str, Any] = json.loads(finished.read_text())
        return found
    if remedy in AFTERWARDS:
        base = arguments.output / f"{objective}_none_{seed}"
        adjust_run(base, AFTERWARDS[remedy], folder, overwrite=True, verbose=False)
    else:
        train_run(settings(arguments, objective, remedy, seed), folder, resume=True, verbose=False)
    result = evaluate_run(folder, [ATTACK], limit=arguments.limit, verbose=False, sanity_samples=0)
    made = {"objective": objective, "remedy": remedy, "seed": seed, "numbers": numbers(result)}
    made["training_counts"] = result.config["training_counts"]
    made["class_accuracy"] = {label: list(map(float, attack.class_accuracy)) for label, attack in result.items()}
    write_text(finished, json.dumps(made, indent=1))
    return made


def table(cells: list[dict[str, Any]]) -> str:
    """Markdown: a row for each objective and remedy, mean and spread over the seeds, in per cent."""
    columns = [(label, metric) for label in ("clean", "pgd-20") for metric in ("balanced", "head", "tail")]
    lines = [
        "| training | remedy | " + " | ".join(f"{label}, {metric}" for label, metric in columns) + " |",
        "| --- | --- |" + " ---: |" * len(columns),
    ]
    for objective in OBJECTIVES:
        for remedy in (*REMEDIES, *AFTERWARDS):
            own = [one["numbers"] for one in cells if (one["objective"], one["remedy"]) == (objective, remedy)]
            if own:
                shown = [_spread([100 * one[label][metric] for one in own]) for label, metric in columns]
                lines.append(f"| {objective} | {remedy} | " + " | ".join(shown) + " |")
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
    parser.add_argument("--lr", type=float, default=0.1)
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
