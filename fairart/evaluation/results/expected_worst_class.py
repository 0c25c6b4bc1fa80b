"""The accuracy of the worst class without the bias of a lowest number.

The lowest of K measured accuracies is biased low: it picks the class with the worst luck. The bias is largest for a method whose
classes are alike, so it works against the fair methods when methods are compared.

The estimate here is a bootstrap that is iterated once (double bootstrap; Hall, The Bootstrap and Edgeworth Expansion, 1992,
section 1.4). Let T be the lowest measured accuracy, T1 the lowest one after the samples of each class are drawn again, and T2
after they are drawn once more from that draw. The bias of T is about E[T1] - T; that this estimate is itself too small shows in
E[T2] - E[T1]. So the corrected value is

    T - (E[T1] - T) - ((E[T1] - T) - (E[T2] - E[T1])) = 3 T - 3 E[T1] + E[T2].

A draw of n samples of a class with c right is Binomial(n, c / n), so that samples need not be drawn one by one.

By simulation (``tests/evaluation/results/test_expected_worst_class.py``): with 10 classes of 45 samples the measured value is 12
points too low if all classes are equally good, and 4 if their accuracies rise steadily; the corrected value is 6 and less than 1
too low. If one class is clearly the worst, the measured value has no bias, and the corrected one is about 1 too high. What
remains is for equal classes; no estimate is without bias there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["DRAWS", "ExpectedWorstClass", "expected_worst_class"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRAWS = 4000
"""Draws by default: their chance adds less than 1 % to the variance of the corrected value."""

_AT_ONCE = 1 << 20  # numbers drawn at a time: 8 MiB


@dataclass(frozen=True, eq=False)
class ExpectedWorstClass:
    """The result of :func:`expected_worst_class`.

    Args:
        measured: (runs,) lowest measured accuracy.
        corrected: (runs,) estimate of the lowest true accuracy. A single one may lie outside [0, 1], and below the measured
            value: cut off, the mean over seeds would be biased again.
    """

    measured: FloatArray
    corrected: FloatArray

    @property
    def bias(self) -> FloatArray:
        """(runs,) estimated bias of the measured value, as a rule < 0."""
        found: FloatArray = self.measured - self.corrected
        return found


def expected_worst_class(correct: IntArray, total: IntArray, *, draws: int = DRAWS, seed: int = 0) -> ExpectedWorstClass:
    """Estimate the true accuracy of the worst class of each run.

    Args:
        correct: (runs, K) right samples of each class.
        total: (K,) samples of each class; classes without samples are left out.
        draws: number of random draws, >= 1.
        seed: of the draws, >= 0.

    Raises:
        ValueError: counts that are not whole numbers with 0 <= correct <= total, no sample at all, or bad options.
    """
    right, number = _checked(correct, total)
    if draws < 1 or seed < 0:
        raise ValueError(f"expected draws >= 1 and seed >= 0, got {draws!r} and {seed!r}")
    # A generator for each run: a run has the same value whatever the others are, and equal runs have equal values.
    corrected = [_corrected(counts, number, draws, np.random.default_rng(seed)) for counts in right]
    return ExpectedWorstClass((right / number).min(axis=1), np.array(corrected))


def _corrected(right: IntArray, number: IntArray, draws: int, generator: np.random.Generator) -> float:
    once, twice = 0.0, 0.0
    block = max(1, _AT_ONCE // len(right))
    for first in range(0, draws, block):
        drawn = generator.binomial(number, right / number, size=(min(block, draws - first), len(right)))
        again = generator.binomial(number, drawn / number)
        once += float((drawn / number).min(axis=1).sum())
        twice += float((again / number).min(axis=1).sum())
    return 3 * float((right / number).min()) - 3 * once / draws + twice / draws


def _checked(correct: IntArray, total: IntArray) -> tuple[IntArray, IntArray]:
    """Counts of the classes that have samples."""
    right, number = np.asarray(correct), np.asarray(total)
    if right.ndim != 2 or right.shape[1:] != number.shape or right.dtype.kind not in "iu" or number.dtype.kind not in "iu":
        raise ValueError("expected whole counts: right samples (runs, K), and all samples (K,) of each class")
    if (right < 0).any() or (right > number).any():
        raise ValueError("expected counts with 0 <= correct <= total")
    present = number > 0
    if not present.any():
        raise ValueError("without a sample there is no worst class")
    return right[:, present].astype(np.int64), number[present].astype(np.int64)
