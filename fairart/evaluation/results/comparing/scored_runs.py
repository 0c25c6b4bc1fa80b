"""Several runs on the same samples, scored as measured and on re-drawn samples: what comparisons of methods are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.comparing.common import check_same_samples
from fairart.evaluation.results.comparing.redrawing import DRAWS, redraw_samples
from fairart.evaluation.results.expected_worst_class import expected_worst_class

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = ["PARTS", "Part", "Scores", "score_runs"]

FloatArray = npt.NDArray[np.float64]

Part = Literal["average", "worst class"]
PARTS: tuple[Part, ...] = ("average", "worst class")


@dataclass(frozen=True, eq=False)
class Scores:
    """One number of several runs: the accuracy over all samples, or that of the worst class.

    Args:
        measured: (runs,) as measured, in [0, 1].
        estimated: (runs,) without the bias of a lowest number; as measured for the accuracy over all samples.
        redrawn: (draws, runs) on re-drawn samples. Those of the worst class are moved so that their mean is the estimate: a
            lowest number is biased low even more on re-drawn samples.
        samples: that one number rests on: all of them, or those of the smallest class.
    """

    measured: FloatArray
    estimated: FloatArray
    redrawn: FloatArray
    samples: int


def score_runs(results: Sequence[AttackResult], *, draws: int = DRAWS, seed: int = 0) -> dict[Part, Scores]:
    """Score runs that were evaluated on the same samples.

    Args:
        results: one a run, at least one.
        draws: of the samples, >= 2.
        seed: of the draws, >= 0.

    Returns:
        The scores of the average and of the worst class.

    Raises:
        ValueError: no result, results of other samples, or bad options.
    """
    if not results:
        raise ValueError("expected at least one result")
    first = results[0]
    for other in results[1:]:
        check_same_samples(first, other)
    redrawn = redraw_samples(np.array([result.correct for result in results]), first.labels, draws=draws, seed=seed)
    support = first.confusion.support
    counts = np.array([np.diag(result.confusion.counts) for result in results])
    # More draws than of the samples: their chance enters the estimate, and not only its error.
    worst = expected_worst_class(counts, support, draws=2 * draws, seed=seed)
    overall = np.array([result.accuracy for result in results])
    return {
        "average": Scores(overall, overall, redrawn.overall, len(first.labels)),
        "worst class": Scores(
            worst.measured,
            worst.corrected,
            redrawn.worst - redrawn.worst.mean(axis=0) + worst.corrected,
            int(support[support > 0].min()),
        ),
    }
