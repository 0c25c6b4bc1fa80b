"""Why FAIR-TAT does what it does in a network: the budgets that its rule gives, and how uneven its targets are.

    python benchmarks/fair_tat_budgets.py benchmarks/study/question_fashion_mnist.yaml runs/study-question-fashion-mnist \
        --output benchmarks/results/fair_tat_budgets_fashion_mnist

Reads the training histories of a finished grid. CCM gives class k the budget (lambda1 + A_k) eps, A_k its robust accuracy in
training (CFA, CVPR 2023, Eq. 4): where A_k is far from 1 the rule shrinks the budgets. Targets are drawn by the class false
positive score (FAIR-TAT, Eq. 8): where it is nearly flat they are nearly uniform. Both are given for the last epoch, mean and
range over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart import packed
from fairart.benchmark.file import read_grid
from fairart.benchmark.selecting import choices_of, selected_so_far
from fairart.benchmark.state import cell_folder
from fairart.files import write_text
from fairart.runs.folders import HISTORY
from fairart.statistics import class_false_positive_score

FloatArray = npt.NDArray[np.float64]
FIGURES = {
    "robust_training_accuracy": "A, mean over classes",
    "lowest_class": "A, lowest class",
    "mean_budget": "budget / eps, mean",
    "lowest_budget": "lowest",
    "highest_budget": "highest",
    "cfps_ratio": "CFPS, highest / uniform",
    "cfps_entropy": "CFPS, entropy / log K",
    "target_ratio": "targets drawn, highest / uniform",
}


def figures(history: Sequence[Mapping[str, Any]], eps: float) -> dict[str, float]:
    """What the last epoch of a run shows; see the head of this file.

    Args:
        history: records of its epochs.
        eps: budget of the run.
    """
    last = history[-1]
    counts = np.asarray(last["robust"], dtype=np.int64)
    accuracy = np.diag(counts) / counts.sum(axis=1)
    budgets = np.asarray(last["epsilons"], dtype=np.float64) / eps
    cfps = class_false_positive_score(counts)
    found = {
        "robust_training_accuracy": accuracy.mean(),
        "lowest_class": accuracy.min(),
        "mean_budget": budgets.mean(),
        "lowest_budget": budgets.min(),
        "highest_budget": budgets.max(),
        "cfps_ratio": cfps.max() * len(cfps),
        "cfps_entropy": -np.sum(cfps[cfps > 0] * np.log(cfps[cfps > 0])) / np.log(len(cfps)),
    }
    if last.get("target_probabilities") is not None:
        # (K, K), rows true: how often each class is aimed at, with as many samples of each class.
        aimed = np.asarray(last["target_probabilities"], dtype=np.float64).mean(axis=0)
        found["target_ratio"] = aimed.max() * len(aimed)
    return {name: float(value) for name, value in found.items()}


def collect(grid_folder: Path, grid_file: Path) -> dict[str, list[dict[str, float]]]:
    """Row -> figures of its seeds.

    Args:
        grid_folder: of a finished grid, or its archive.
        grid_file: the grid.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    grid = read_grid(grid_file)
    for cell in grid.decided(choices_of(selected_so_far(grid, grid_folder))).cells:
        path = cell_folder(grid_folder, cell.name) / HISTORY
        if packed.is_file(path):
            history = [json.loads(line) for line in packed.read_bytes(path).decode("utf-8").splitlines()]
            rows.setdefault(cell.row_name, []).append(figures(history, float(cell.config.eps)))
    return rows


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a line a row, mean over seeds with the lowest and highest one."""
    lines = ["| row | seeds | " + " | ".join(FIGURES.values()) + " |", "| --- |" + " ---: |" * (1 + len(FIGURES))]
    for row, seeds in rows.items():
        cells = [str(len(seeds))]
        for name in FIGURES:
            values = [seed[name] for seed in seeds if name in seed]
            cells.append(f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grid", type=Path, help="grid file")
    parser.add_argument("folder", type=Path, help="folder of the finished grid, or its archive")
    parser.add_argument("--output", type=Path, required=True, help="files to write: with .json and .md appended")
    arguments = parser.parse_args()
    rows = collect(arguments.folder, arguments.grid)
    if not rows:
        parser.error(f"no cell of {arguments.grid} has a history.jsonl in {arguments.folder}")
    write_text(arguments.output.with_suffix(".json"), json.dumps(rows, indent=1) + "\n")
    write_text(arguments.output.with_suffix(".md"), table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
