"""Coverage, rejection and power of the worst class's interval and paired test, by simulation.

    python benchmarks/worst_class.py --output benchmarks/results/worst_class.json

Each scenario gives the true accuracy of each class under two methods. Samples of both methods are drawn together: with the
stated probability a sample is equally hard for both. The script counts how often the exact 95 % intervals contain the true
worst-class accuracy and the true difference, and how often the paired test rejects at 5 %. For comparison, ``known_class`` is
the power of McNemar's exact test on the truly worst class of the second method, which nobody knows in practice.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from fairart.evaluation.results.comparing.worst_class_difference import difference_interval
from fairart.evaluation.results.worst_class import lower_bound, upper_bound

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SAMPLES = (1, 4, 20, 100)
CLASSES = (2, 10, 100)
ERROR = 0.05
ALIKE = 0.5
"""Probability that a sample is equally hard for both methods."""


def scenarios(nb_classes: int) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Name -> true class accuracies of the first and of the second method; the worst classes are equal unless it says a gain."""

    def flat(others: float, **changed: float) -> FloatArray:
        rates = np.full(nb_classes, others)
        for name, rate in changed.items():
            rates[int(name.removeprefix("class_"))] = rate
        return rates

    spread = np.linspace(0.2, 0.9, nb_classes)
    return {
        "all equal": (flat(0.5), flat(0.5)),
        "nearly all right": (flat(0.98), flat(0.98)),
        "one low class": (flat(0.8, class_0=0.2), flat(0.8, class_0=0.2)),
        "another low class": (flat(0.8, class_0=0.2), flat(0.8, class_1=0.2)),
        "one low class, all equal": (flat(0.8, class_0=0.5), flat(0.5)),
        "spread": (spread, spread[::-1].copy()),
        "gain in the low class": (flat(0.8, class_0=0.5), flat(0.8, class_0=0.2)),
        "gain in all classes": (flat(0.7), flat(0.5)),
    }


def draw(first: FloatArray, second: FloatArray, samples: int, repeats: int, generator: np.random.Generator) -> IntArray:
    """(repeats, K, 4) samples that none, only the second, only the first, or both get right."""
    both = ALIKE * np.minimum(first, second) + (1 - ALIKE) * first * second
    cells = np.stack([1 - first - second + both, second - both, first - both, both], axis=-1)
    cells = np.clip(cells, 0, None)
    return generator.multinomial(samples, cells / cells.sum(-1, keepdims=True), size=(repeats, len(first)))


def known_class(counts: IntArray, place: int) -> float:
    """Share of the repeats in which McNemar's exact test of one class, named beforehand, rejects."""
    only_second, only_first = counts[:, place, 1], counts[:, place, 2]
    p_value = 2 * binom.cdf(np.minimum(only_first, only_second), only_first + only_second, 0.5)
    return float((p_value < ERROR).mean())


def measure(first: FloatArray, second: FloatArray, *, samples: int, repeats: int, seed: int) -> dict[str, float]:
    """Coverage, rejection and widths of one scenario.

    Args:
        first: (K,) true accuracies of the first method.
        second: (K,) true accuracies of the second method.
        samples: test samples of each class.
        repeats: simulated test sets.
        seed: of the draws.
    """
    counts = draw(first, second, samples, repeats, np.random.default_rng(seed))
    total, right = counts.sum(-1), counts[..., 2] + counts[..., 3]
    low, high = lower_bound(right, total, error=ERROR / 2), upper_bound(right, total, error=ERROR / 2)
    ends = difference_interval(counts, error=ERROR)
    worst, gain = first.min(), first.min() - second.min()
    figures = {
        "coverage": float(((low <= worst) & (worst <= high)).mean()),
        "width": float((high - low).mean()),
        "difference": float(gain),
        "difference_coverage": float(((ends[:, 0] <= gain) & (gain <= ends[:, 1])).mean()),
        "difference_width": float((ends[:, 1] - ends[:, 0]).mean()),
        "rejected": float(((ends[:, 0] > 0) | (ends[:, 1] < 0)).mean()),
    }
    # Without a difference it is no test of the same hypothesis: the worst classes may be two.
    return {**figures, "known_class_rejected": known_class(counts, int(second.argmin()))} if gain else figures


def main() -> None:
    """Run every scenario and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000, help="simulated test sets a scenario (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for nb_classes in CLASSES:
        for samples in SAMPLES:
            for name, (first, second) in scenarios(nb_classes).items():
                found = measure(first, second, samples=samples, repeats=arguments.repeats, seed=arguments.seed)
                rounded = {key: round(value, 4) for key, value in found.items()}
                rows.append({"scenario": name, "classes": nb_classes, "samples_per_class": samples, **rounded})
                print(rows[-1], flush=True)
    null = [row for row in rows if row["difference"] == 0]
    document = {
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "level": 1 - ERROR,
        "equally_hard_for_both": ALIKE,
        "least_coverage": min(row["coverage"] for row in rows),
        "least_difference_coverage": min(row["difference_coverage"] for row in rows),
        "most_rejected_without_difference": max(row["rejected"] for row in null),
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
