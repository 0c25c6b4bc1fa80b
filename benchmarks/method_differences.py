"""Coverage of the intervals of two methods compared over seeds and test images, by simulation.

    python benchmarks/method_differences.py --output benchmarks/results/method_differences.json

A run is right on an image of class k if a normal number is above zero. It is the sum of the level of the class under this
method and seed, and of how easy the image is: for all runs (60 % of the variance), for this method (15 %), and for this run alone
(25 %). So the true accuracy of every class is known. Each scenario gives the levels of the classes under two methods; a seed
moves each level by normal chance. The script counts how often the 95 % intervals of ``compare_methods`` contain the true
difference of the average and of the worst class, and how often those of a t test over the seeds alone do. It also gives the bias
of the worst class's accuracy, as measured and as corrected.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing import paired_t, score_runs
from fairart.evaluation.results.comparing.methods import difference_of_scores

FloatArray = npt.NDArray[np.float64]

FOR_ALL, FOR_METHOD = 0.6, 0.15
TRUTH_DRAWS = 50_000
SEEDS = (3, 5)
SAMPLES = (45, 100)
SPREADS = (0.02, 0.1)
"""Standard deviation of a class's level over seeds; 0.1 is about four points of accuracy."""


def scenarios(nb_classes: int) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Name -> levels of the classes under the first and the second method; 0 is an accuracy of 50 %, 0.6 of 73 %."""
    alike, one_low = np.zeros(nb_classes), np.full(nb_classes, 0.6)
    one_low[0] = 0.0
    slope = np.linspace(0, 1, nb_classes)
    return {
        "alike, alike": (alike, alike),
        "alike, one low": (alike, one_low),
        "slope, one low": (slope, one_low),
        "slope, slope that is higher": (slope, slope + 0.2),
        "nearly all right, alike": (alike + 1.6, slope + 1.4),
    }


def truth(levels: FloatArray, spread: float) -> dict[str, float]:
    """Expected average and worst-class accuracy over seeds."""
    moved = levels + spread * np.random.default_rng(0).normal(size=(TRUTH_DRAWS, len(levels)))
    shares = norm.cdf(moved)
    return {"average": float(shares.mean()), "worst class": float(shares.min(axis=1).mean())}


def runs(
    generator: np.random.Generator, methods: tuple[FloatArray, FloatArray], *, seeds: int, samples: int, spread: float
) -> list[list[AttackResult]]:
    """Results of both methods, one a seed, on the same images."""
    labels = np.repeat(np.arange(len(methods[0])), samples)
    for_all = math.sqrt(FOR_ALL) * generator.normal(size=len(labels))
    found = []
    for levels in methods:
        easy = for_all + math.sqrt(FOR_METHOD) * generator.normal(size=len(labels))
        moved = levels + spread * generator.normal(size=(seeds, len(levels)))
        alone = math.sqrt(1 - FOR_ALL - FOR_METHOD) * generator.normal(size=(seeds, len(labels)))
        found.append([result(row > 0, labels) for row in moved[:, labels] + easy + alone])
    return found


def result(right: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> AttackResult:
    """An evaluation that is right on some images."""
    nb_classes = int(labels[-1]) + 1
    predictions = np.where(right, labels, (labels + 1) % nb_classes)
    return AttackResult(label="pgd", labels=labels, predictions=predictions, nb_classes=nb_classes, config={})


def measure(
    methods: tuple[FloatArray, FloatArray], *, seeds: int, samples: int, spread: float, repeats: int, draws: int, seed: int
) -> dict[str, float]:
    """Coverage and bias of one scenario."""
    generator = np.random.default_rng(seed)
    true = [truth(levels, spread) for levels in methods]
    gaps = {part: true[0][part] - true[1][part] for part in true[0]}
    sums: dict[str, float] = {}

    def add(name: str, value: float) -> None:
        sums[name] = sums.get(name, 0.0) + value / repeats

    for _ in range(repeats):
        first, second = runs(generator, methods, seeds=seeds, samples=samples, spread=spread)
        scores = score_runs([*first, *second], draws=draws)
        for part in scores:
            # What compare_methods does, with the scores at hand for the bias.
            found = difference_of_scores(scores[part], np.arange(seeds), np.arange(seeds, 2 * seeds))
            add(f"{part}, coverage", found.interval[0] <= gaps[part] <= found.interval[1])
            add(f"{part}, width", found.interval[1] - found.interval[0])
        for part, numbers in (
            ("average", [[run.accuracy for run in several] for several in (first, second)]),
            ("worst class", [[run.worst_class_accuracy() for run in several] for several in (first, second)]),
        ):
            low, high = paired_t(*numbers).interval
            add(f"{part}, coverage of seeds alone", low <= gaps[part] <= high)
        worst = scores["worst class"]
        add("bias measured", float(worst.measured[:seeds].mean()) - true[0]["worst class"])
        add("bias corrected", float(worst.estimated[:seeds].mean()) - true[0]["worst class"])
    return {name: round(float(value), 4) for name, value in sums.items()}


def main() -> None:
    """Run every scenario and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=150, help="simulated studies a scenario (default: 150)")
    parser.add_argument("--draws", type=int, default=300, help="draws of each bootstrap (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    settings = [(10, *chosen) for chosen in itertools.product(SEEDS, SAMPLES, SPREADS)]
    rows: list[dict[str, Any]] = []
    for (nb_classes, seeds, samples, spread), name in itertools.product(settings, scenarios(10)):
        found = measure(
            scenarios(nb_classes)[name],
            seeds=seeds,
            samples=samples,
            spread=spread,
            repeats=arguments.repeats,
            draws=arguments.draws,
            seed=arguments.seed,
        )
        rows.append(
            {"scenario": name, "classes": nb_classes, "seeds": seeds, "samples_per_class": samples, "spread": spread, **found}
        )
        print(rows[-1], flush=True)
    parts = [f"{part}, coverage{more}" for part in ("average", "worst class") for more in ("", " of seeds alone")]
    document = {
        "repeats": arguments.repeats,
        "draws": arguments.draws,
        "seed": arguments.seed,
        "level": 0.95,
        "least": {part: min(row[part] for row in rows) for part in parts},
        "mean": {part: round(float(np.mean([row[part] for row in rows])), 4) for part in parts},
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
