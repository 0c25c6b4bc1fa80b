"""Paired tests between two methods that were evaluated on the same samples.

One result each: :func:`mcnemar` for the accuracy, :func:`worst_class_difference` for the worst class. They say whether these
two *classifiers* differ on data of this kind. Several seeds each: :func:`paired_t` and :func:`sign_flip_p_value` over the
seeds say whether the two *methods* differ when training is repeated, on these very test samples. Differences are first less
second; no p-value is corrected for the number of tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from fairart.evaluation.results.worst_class import RESAMPLES

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = [
    "PairedTest",
    "check_same_samples",
    "mcnemar",
    "mcnemar_counts",
    "paired_t",
    "sign_flip_p_value",
    "worst_class_difference",
]

FloatArray = npt.NDArray[np.float64]

_EXACT_UP_TO = 16  # pairs of which all 2^n sign patterns are tried; above, _FLIPS random ones are
_FLIPS = 100_000
_ALIKE = 1e-12  # accuracies are shares of counts: what differs by less differs by rounding


@dataclass(frozen=True)
class PairedTest:
    """The difference of two methods, and whether it may be chance.

    Args:
        test: ``"mcnemar-exact"``, ``"paired-bootstrap"`` or ``"paired-t"``.
        difference: first less second, in [-1, 1].
        interval: lower and upper end of the difference; NaN where it is not defined.
        p_value: two-sided; NaN where it is not defined.
        count: number of pairs: samples, or seeds.
        level: confidence level of the interval.
    """

    test: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    count: int
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN is None."""
        plain: dict[str, Any] = {
            "test": self.test,
            "difference": _plain(self.difference),
            "interval": [_plain(end) for end in self.interval],
            "level": self.level,
            "p_value": _plain(self.p_value),
            "pairs": self.count,
        }
        return plain


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def check_same_samples(first: AttackResult, second: AttackResult, *, names: tuple[str, str] = ("first", "second")) -> None:
    """Refuse results that cannot be paired.

    Args:
        first: a result.
        second: another.
        names: what an error calls them.

    Raises:
        ValueError: another number of classes, of samples, or other labels.
    """
    told = f"{names[0]} and {names[1]} were not evaluated on the same samples"
    if first.nb_classes != second.nb_classes:
        raise ValueError(f"{told}: {first.nb_classes} and {second.nb_classes} classes")
    if len(first.labels) != len(second.labels):
        raise ValueError(f"{told}: {len(first.labels)} and {len(second.labels)} of them")
    if not np.array_equal(first.labels, second.labels):
        where = int(np.flatnonzero(first.labels != second.labels)[0])
        raise ValueError(
            f"{told}: their labels differ, first at sample {where} (class {first.labels[where]} and {second.labels[where]})"
        )


def mcnemar(first: AttackResult, second: AttackResult, *, level: float = 0.95) -> PairedTest:
    """Exact McNemar test of two results on the same samples.

    Args:
        first: a result.
        second: another, of the same samples.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ValueError: other samples, or a bad level.
    """
    check_same_samples(first, second)
    one, other = first.correct, second.correct
    return mcnemar_counts(int((one & ~other).sum()), int((other & ~one).sum()), len(one), level=level)


def mcnemar_counts(only_first: int, only_second: int, total: int, *, level: float = 0.95) -> PairedTest:
    """Exact McNemar test: the samples that only one of two classifiers gets right are fair coin flips if they are equally good.

    The interval is Wald's with half a sample added to each cell of the 2 x 2 table (Agresti & Min, Biometrics 2005), which
    keeps its level for few samples where Wald's own does not.

    Args:
        only_first: samples that only the first gets right.
        only_second: samples that only the second gets right.
        total: all samples, >= 1.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ValueError: counts that cannot be, or a bad level.
    """
    if min(only_first, only_second) < 0 or total < max(1, only_first + only_second):
        raise ValueError("expected counts >= 0 with only_first + only_second <= total")
    z = NormalDist().inv_cdf(0.5 + _checked_level(level) / 2)
    number = total + 2
    centre = (only_first - only_second) / number
    half = z * math.sqrt(max(0.0, (only_first + only_second + 1) / number - centre**2) / number)
    return PairedTest(
        test="mcnemar-exact",
        difference=(only_first - only_second) / total,
        interval=(max(-1.0, centre - half), min(1.0, centre + half)),
        p_value=_two_sided_sign_test(only_first, only_second),
        count=total,
        level=level,
    )


def _two_sided_sign_test(heads: int, tails: int) -> float:
    """P(a split at least this uneven) of fair coins, in whole numbers: exact, and without underflow on the way."""
    number, term, tail = heads + tails, 1, 0
    for successes in range(min(heads, tails) + 1):
        tail += term
        term = term * (number - successes) // (successes + 1)
    return min(1.0, 2 * tail / (1 << number))


def worst_class_difference(
    first: AttackResult, second: AttackResult, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """Paired bootstrap of the difference of two worst-class accuracies, whichever classes those are.

    Samples are drawn again within each class, the same ones for both results. Of a class, such a draw is one multinomial over
    its samples right under both, the first, the second, or none.

    Args:
        first: a result.
        second: another, of the same samples.
        level: confidence level of the percentile interval, in (0, 1).
        resamples: bootstrap samples, >= 1.
        seed: of the draws.

    Returns:
        The test; its p-value is twice the smaller share of draws on one side of zero, at least 2 / (resamples + 1).

    Raises:
        ValueError: other samples, or bad options.
    """
    check_same_samples(first, second)
    _checked_level(level)
    if resamples < 1:
        raise ValueError(f"resamples must be >= 1, got {resamples!r}")
    generator = np.random.default_rng(seed)
    worst = np.full((2, resamples), np.inf)
    cells = 2 * first.correct.astype(np.int64) + second.correct
    for index in np.flatnonzero(first.confusion.support):
        counts = np.bincount(cells[first.labels == index], minlength=4)
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=resamples)
        rates = np.stack([drawn[:, 2] + drawn[:, 3], drawn[:, 1] + drawn[:, 3]]) / counts.sum()
        worst = np.minimum(worst, rates)
    gaps = worst[0] - worst[1]
    low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return PairedTest(
        test="paired-bootstrap",
        difference=first.worst_class_accuracy() - second.worst_class_accuracy(),
        interval=(float(low), float(high)),
        p_value=min(1.0, 2 * (beyond + 1) / (resamples + 1)),
        count=len(first.labels),
        level=level,
    )


def paired_t(first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = 0.95) -> PairedTest:
    """Student's t test of paired numbers, such as the accuracies of two methods trained with the same seeds.

    Args:
        first: (n,) numbers, one a seed.
        second: (n,) numbers of the same seeds.
        level: confidence level of the interval of the mean difference, in (0, 1).

    Returns:
        The test. Where all differences are the same their spread is unknown, and interval and p-value are NaN.

    Raises:
        ValueError: other lengths, fewer than two pairs, numbers that are not finite, or a bad level.
    """
    gaps = _differences(first, second)
    _checked_level(level)
    number, mean = len(gaps), float(gaps.mean())
    error = float(gaps.std(ddof=1)) / math.sqrt(number)
    low, high, p_value = math.nan, math.nan, math.nan
    if error > _ALIKE:
        half = float(stdtrit(number - 1, 0.5 + level / 2)) * error
        low, high = mean - half, mean + half
        p_value = 2 * float(stdtr(number - 1, -abs(mean) / error))
    return PairedTest("paired-t", mean, (low, high), p_value, number, level)


def sign_flip_p_value(first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0) -> float:
    """Two-sided permutation test of paired numbers: if the methods are alike, each difference could as well have the other sign.

    Assumes nothing about the spread, but n pairs cannot give less than 2 / 2^n: 0.5 for two seeds, 0.06 for five. All sign
    patterns are tried for up to 16 pairs, 100 000 random ones above.

    Args:
        first: (n,) numbers, one a seed.
        second: (n,) numbers of the same seeds.
        seed: of the random patterns.

    Raises:
        ValueError: other lengths, fewer than two pairs, or numbers that are not finite.
    """
    gaps = _differences(first, second)
    number = len(gaps)
    if number <= _EXACT_UP_TO:
        bits = np.arange(2**number)[:, None] >> np.arange(number) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, size=(_FLIPS, number))
    reached = np.abs((2 * bits - 1) @ gaps) >= abs(gaps.sum()) - _ALIKE
    if number <= _EXACT_UP_TO:
        return float(reached.mean())
    return float((reached.sum() + 1) / (_FLIPS + 1))


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"a paired test needs as many numbers of both methods, got shapes {one.shape} and {other.shape}")
    if len(one) < 2:
        raise ValueError("a test over seeds needs at least two of them")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("a paired test needs finite numbers")
    gaps: FloatArray = one - other
    return gaps


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    return level
