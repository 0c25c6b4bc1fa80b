"""Two methods compared over seeds and test samples, and the probability that each of several methods is the best.

The question is about the *methods*: would the difference show up again with other seeds and other test images of the same kind?
So both count. Runs are paired by seed, and all were evaluated on the same samples. With d_s the difference of seed s, the mean of
the d_s is the estimate. Its variance is that of a hierarchical bootstrap: seeds are re-drawn, and samples of each class are
re-drawn, the same ones for every seed. Where a run differs from others on single samples by chance alone, the variance is counted
more than once, so the interval is rather too wide than too narrow (Owen, The pigeonhole bootstrap, Annals of Applied Statistics
2007).

Percentiles of a bootstrap of three seeds are far too narrow. So the interval is Student's, with the degrees of freedom of
Satterthwaite (Biometrics 1946): between seeds - 1, if the seeds make the variance, and samples - 1, if the samples do.

For the worst class, d_s is the difference of estimates without the bias of a lowest number, see
:mod:`fairart.evaluation.results.expected_worst_class`: the bias differs between methods, and no number of seeds removes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from fairart.evaluation.results.comparing.common import PairedTest
from fairart.evaluation.results.comparing.redrawing import DRAWS, redraw_seeds
from fairart.evaluation.results.comparing.scored_runs import Part, Scores, score_runs
from fairart.statistics.levels import checked_level
from fairart.statistics.over_seeds import detectable_difference

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = ["MethodDifference", "best_probability", "compare_methods", "difference_of_scores"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ALIKE = 1e-12  # accuracies are shares of counts: a smaller spread is a rounding error


@dataclass(frozen=True)
class MethodDifference(PairedTest):
    """The difference of two methods over seeds and samples; see :class:`PairedTest` for the other fields.

    Args:
        standard_error: of the difference; NaN for tests of a single pair of runs.
        degrees: degrees of freedom of the interval; NaN as well.
    """

    standard_error: float = math.nan
    degrees: float = math.nan

    def detectable(self, *, comparisons: int = 1, power: float = 0.8) -> float:
        """The smallest true difference that this test finds with the given probability, in [0, 1]; NaN if not known.

        It may exceed 1, the largest difference there is: then no difference would be found so often.

        Args:
            comparisons: planned comparisons, >= 1.
            power: probability of finding it, in (0, 1).
        """
        return detectable_difference(self.standard_error, self.degrees, comparisons=comparisons, power=power, level=self.level)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN is None."""
        numbers = {"standard_error": self.standard_error, "degrees_of_freedom": self.degrees}
        return {**super().to_dict(), **{key: None if math.isnan(value) else value for key, value in numbers.items()}}


def compare_methods(
    first: Sequence[AttackResult],
    second: Sequence[AttackResult],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[Part, MethodDifference]:
    """Compare two methods that were trained with the same seeds and evaluated on the same samples.

    Args:
        first: results of a method, one a seed.
        second: results of the other one, in the same order of seeds; at least two.
        level: confidence level of the intervals, in (0, 1).
        draws: of the bootstrap, >= 2.
        seed: of the draws, >= 0; the same seed gives the same numbers.

    Returns:
        First less second: accuracy over all samples, and accuracy of the worst class, each seed's own.

    Raises:
        ValueError: other numbers of seeds, fewer than two, results of other samples, or bad options.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"expected the same two or more seeds of both methods, got {len(first)} and {len(second)} results")
    places = np.arange(len(first))
    scores = score_runs([*first, *second], draws=draws, seed=seed)
    return {
        part: difference_of_scores(found, places, places + len(first), level=level, seed=seed) for part, found in scores.items()
    }


def difference_of_scores(
    scores: Scores, first: IntArray, second: IntArray, *, level: float = 0.95, seed: int = 0
) -> MethodDifference:
    """Compare two methods whose runs were scored together; see the head of this module for what is computed.

    Args:
        scores: of all runs.
        first: (seeds,) places of one method's runs among the scores.
        second: (seeds,) places of the other's, in the same order of seeds; at least two.
        level: confidence level of the interval, in (0, 1).
        seed: of the draws of seeds, >= 0.

    Returns:
        First less second. If nothing varies over seeds and samples, as with two methods that are right on the same ones, the
        interval is NaN, and the p-value is 1 without a difference and NaN with one.

    Raises:
        ValueError: fewer than two seeds, or a bad level.
    """
    checked_level(level)
    gaps, drawn = scores.estimated[first] - scores.estimated[second], scores.redrawn[:, first] - scores.redrawn[:, second]
    count, mean = len(gaps), float(gaps.mean())
    of_seeds = float(gaps.var(ddof=1)) / count
    seeds = redraw_seeds(count, draws=len(drawn), seed=seed)
    both = float(np.take_along_axis(drawn, seeds, axis=1).mean(axis=1).var(ddof=1))
    variance = max(both, of_seeds)
    if variance <= _ALIKE**2:
        p_value = 1.0 if abs(mean) <= _ALIKE else math.nan
        return MethodDifference("seeds-and-samples", mean, (math.nan, math.nan), p_value, count, level)
    error = math.sqrt(variance)
    degrees = _degrees(of_seeds, variance - of_seeds, count, scores.samples)
    half = float(stdtrit(degrees, 0.5 + level / 2)) * error
    return MethodDifference(
        test="seeds-and-samples",
        difference=mean,
        interval=(max(-1.0, mean - half), min(1.0, mean + half)),
        p_value=2 * float(stdtr(degrees, -abs(mean) / error)),
        count=count,
        level=level,
        standard_error=error,
        degrees=degrees,
    )


def _degrees(of_seeds: float, of_samples: float, count: int, samples: int) -> float:
    """Degrees of freedom of the sum of two variances (Satterthwaite)."""
    return (of_seeds + of_samples) ** 2 / (of_seeds**2 / (count - 1) + of_samples**2 / max(1, samples - 1))


def best_probability(scores: Scores, methods: Sequence[IntArray], *, seed: int = 0) -> FloatArray:
    """The probability that each method is the best of them, by the hierarchical bootstrap.

    Of every draw of seeds and samples, the method with the highest mean over seeds is the best; methods that tie share the draw.
    With one seed, only the samples are re-drawn: the probability is about these networks, not about the methods.

    Args:
        scores: of all runs.
        methods: (seeds,) places of the runs of each method, all with the same seeds in the same order; one method or more.
        seed: of the draws of seeds, >= 0.

    Returns:
        (methods,) probabilities that sum to 1.

    Raises:
        ValueError: no method, or methods of other numbers of seeds.
    """
    counts = {len(places) for places in methods}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"expected the same seeds of every method, got numbers {[len(places) for places in methods]}")
    (count,) = counts
    draws = len(scores.redrawn)
    seeds = redraw_seeds(count, draws=draws, seed=seed) if count > 1 else np.zeros((draws, 1), dtype=np.int64)
    table = np.array([np.take_along_axis(scores.redrawn[:, places], seeds, axis=1).mean(axis=1) for places in methods]).T
    best = table >= table.max(axis=1, keepdims=True) - _ALIKE
    shares: FloatArray = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
