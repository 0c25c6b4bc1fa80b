"""Which wrong labels the runs of a grid have learnt, class by class, and how right they are on the test images.

    fairart benchmark examples/noisy_labels.yaml --workers 2
    python benchmarks/noisy_labels.py runs/noisy-labels --result benchmarks/results/noisy_labels_digits.json

Reads the folders of the runs: ``label_noise.json`` and ``evaluation.json`` of each. Rows are methods, mean over their seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairart.files import write_text
from fairart.reporting.run_results import Run, group_methods
from fairart.runs.collect import collect

ATTACK = "pgd-20"


def figures(run: Run) -> dict[str, Any]:
    """Shares of one run, in per cent, by class and overall.

    Raises:
        ValueError: the run has no noise, is not finished or not evaluated.
    """
    noise, result = run.label_noise, run.result
    if noise is None or noise["by_class"] is None or result is None:
        raise ValueError(f"{run.name}: expected a finished and evaluated run with label noise")
    rows = noise["by_class"]
    noisy = sum(row["noisy"] for row in rows)
    return {
        "learnt": 100 * sum(row["learnt"] for row in rows) / noisy,
        "original": 100 * sum(row["original"] for row in rows) / noisy,
        "learnt by class": [100 * row["learnt"] / row["noisy"] if row["noisy"] else 0.0 for row in rows],
        "clean": 100 * result["clean"].accuracy,
        "clean, worst": 100 * min(result["clean"].class_accuracy),
        ATTACK: 100 * result[ATTACK].accuracy,
        f"{ATTACK}, worst": 100 * min(result[ATTACK].class_accuracy),
        "classes": [row["class"] for row in rows],
    }


def spread(values: Sequence[float]) -> str:
    """Mean and sample deviation."""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a row a method; the class that learns the most wrong labels, by the mean over seeds."""
    columns = ("learnt", "original", "clean", "clean, worst", ATTACK, f"{ATTACK}, worst")
    lines = [
        "| method | wrong labels learnt | predicted as the original class | class that learns most | "
        f"clean | clean, worst class | {ATTACK} | {ATTACK}, worst class |",
        "| --- | ---: | ---: | --- |" + " ---: |" * 4,
    ]
    for label, runs in found.items():
        by_class = [statistics.mean(values) for values in zip(*(run["learnt by class"] for run in runs), strict=True)]
        most = max(range(len(by_class)), key=by_class.__getitem__)
        cells = [spread([run[name] for run in runs]) for name in columns]
        cells.insert(2, f"{runs[0]['classes'][most]} ({by_class[most]:.0f})")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    """Read, print, write."""
    folders = sorted(path.parent for path in Path(arguments.folder).glob("**/label_noise.json"))
    found = {label: [figures(run) for run in runs] for label, runs in group_methods(collect(folders)).items()}
    sys.stdout.write(table(found) + "\n")
    if arguments.result is not None:
        write_text(Path(arguments.result), json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the grid")
    parser.add_argument("--result", help="JSON file to write the figures to")
    main(parser.parse_args())
