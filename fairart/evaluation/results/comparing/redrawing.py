"""Test samples re-drawn with replacement, the same draw for every run that was evaluated on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DRAWS", "Redrawn", "redraw_samples", "redraw_seeds"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRAWS = 2000
"""Draws by default: a standard error is known to within 3 % (two standard errors of its own)."""

_AT_ONCE = 1 << 22  # samples drawn at a time: 32 MiB of indices, whatever the number of test samples


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Accuracies of several runs on re-drawn test samples.

    Args:
        overall: (draws, runs) accuracy over all samples.
        worst: (draws, runs) accuracy of each run's own worst class of that draw.
    """

    overall: FloatArray
    worst: FloatArray


def redraw_samples(correct: BoolArray, labels: IntArray, *, draws: int = DRAWS, seed: int = 0) -> Redrawn:
    """Draw the samples of each class with replacement, and score every run on each draw.

    All runs of a draw are scored on the same samples, as all were evaluated on the same samples. So what is easy or hard in a
    sample for every seed of a method stays together. Drawing for each seed by itself would count the samples once a seed, and
    make intervals too narrow. The number of samples of a class stays what it is.

    Args:
        correct: (runs, n) whether each run is right on each sample.
        labels: (n,) true classes, >= 0; n >= 1. Classes without samples are left out.
        draws: number of draws, >= 2.
        seed: of the draws, >= 0. The same seed gives the same samples, whatever the runs.

    Raises:
        ValueError: arrays whose shapes do not match, no sample, or bad options.
    """
    _check(correct, labels)
    check_whole("draws", draws, 2)
    check_whole("seed", seed, 0)
    generator = np.random.default_rng(seed)
    total, worst = np.zeros((draws, len(correct))), np.full((draws, len(correct)), np.inf)
    for name in np.unique(labels):
        right = correct[:, labels == name].T.astype(np.float32)
        number = len(right)
        # Whole numbers below 2^24: float32 is exact.
        hits = np.concatenate([weights @ right for weights in _weights(generator, draws, number)]).astype(np.float64)
        total += hits
        np.minimum(worst, hits / number, out=worst)
    return Redrawn(overall=total / len(labels), worst=worst)


def _weights(generator: np.random.Generator, draws: int, number: int) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of (some draws, number): how often each of a class's samples is in each draw."""
    block = max(1, _AT_ONCE // number)
    for first in range(0, draws, block):
        size = min(block, draws - first)
        places = generator.integers(0, number, (size, number)) + number * np.arange(size)[:, None]
        yield np.bincount(places.ravel(), minlength=size * number).reshape(size, number).astype(np.float32)


def redraw_seeds(count: int, *, draws: int = DRAWS, seed: int = 0) -> IntArray:
    """Draw seeds with replacement, one fewer than there are.

    The mean of ``count`` values varies by their variance / count. The mean of ``count`` re-drawn ones varies too little, by the
    factor (count - 1) / count, which is a third with three seeds. Drawing one fewer is right on average (Rao & Wu, JASA 1988).

    Args:
        count: seeds, >= 2.
        draws: number of draws, >= 1.
        seed: of the draws, >= 0.

    Returns:
        (draws, count - 1) places in [0, count).

    Raises:
        ValueError: bad options.
    """
    for name, value, low in (("count", count, 2), ("draws", draws, 1), ("seed", seed, 0)):
        check_whole(name, value, low)
    # A stream of its own: the draws of seeds and samples must not depend on each other.
    return np.random.default_rng([seed, 1]).integers(0, count, (draws, count - 1))


def check_whole(name: str, value: Any, low: int) -> None:
    """Raise ValueError if a value is not a whole number >= low."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")


def _check(correct: BoolArray, labels: IntArray) -> None:
    if correct.ndim != 2 or labels.ndim != 1 or correct.shape[1] != len(labels) or not len(labels):
        raise ValueError(f"expected correct (runs, n) and labels (n,) with n >= 1, got shapes {correct.shape} and {labels.shape}")
