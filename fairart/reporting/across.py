"""What several models have in common: scores of their classes, and whether they rank the classes alike. Needs no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fairart.statistics import RankCorrelation, rank_correlation

if TYPE_CHECKING:
    from fairart.evaluation import EvaluationResult

__all__ = ["SCORES", "Results", "mean_score", "rank_correlations", "shared_attacks"]

Results = Mapping[str, Sequence["EvaluationResult"]]
"""Model or method -> one evaluation a seed."""

SCORES = {"cfps": "false positive score", "cfns": "false negative score", "class_accuracy": "accuracy"}
"""Score of a class -> what it is called."""


def shared_attacks(results: Results, attacks: Sequence[str] | None = None) -> list[str]:
    """The attacks to show: those chosen, or all that every evaluation has, clean data first.

    Args:
        results: model -> one evaluation a seed.
        attacks: labels, in order.

    Raises:
        ValueError: no evaluation, other classes, or an attack that not every evaluation has.
    """
    if not results or not all(results.values()):
        raise ValueError("expected at least one evaluation of each method")
    _check_classes(results)
    every = [set(result) for runs in results.values() for result in runs]
    first = next(iter(results.values()))[0]
    shared = [label for label in first if all(label in labels for labels in every)]
    chosen = shared if attacks is None else list(attacks)
    missing = [label for label in chosen if label not in shared]
    if missing:
        raise ValueError(f"attack {missing[0]!r} is not in every evaluation; those have {', '.join(shared)}")
    return chosen


def _check_classes(results: Results) -> None:
    (first, (base, *_)), *_ = results.items()
    for name, runs in results.items():
        for result in runs:
            if result.nb_classes != base.nb_classes:
                raise ValueError(f"{name} has {result.nb_classes} classes and {first} has {base.nb_classes}: they do not compare")
            if None not in (result.class_names, base.class_names) and result.class_names != base.class_names:
                raise ValueError(f"{name} and {first} have classes of other names: they do not compare")


def mean_score(runs: Sequence[EvaluationResult], attack: str, score: str) -> npt.NDArray[np.float64]:
    """A score of each class, (K,), mean over seeds. NaN for a class without samples, but CFPS: others may be taken for it.

    Args:
        runs: one evaluation a seed.
        attack: its label.
        score: one of :data:`SCORES`.

    Raises:
        ValueError: another score.
    """
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}, got {score!r}")
    means: npt.NDArray[np.float64] = np.mean([getattr(run[attack].confusion, score) for run in runs], axis=0)
    if score == "cfns":
        means = np.where(runs[0][attack].confusion.support > 0, means, np.nan)
    return means


def rank_correlations(
    results: Results, *, attacks: Sequence[str] | None = None, scores: Sequence[str] = tuple(SCORES), seed: int = 0
) -> dict[tuple[str, str], RankCorrelation]:
    """Whether models rank the classes alike, by each score under each attack.

    A model with several seeds counts once, by its means. See :func:`~fairart.statistics.rank_correlation` for the interval.

    Args:
        results: model -> one evaluation a seed.
        attacks: labels; by default all that every evaluation has.
        scores: of :data:`SCORES`.
        seed: of the bootstrap.

    Returns:
        (attack, score) -> the correlation; empty for one model.

    Raises:
        ValueError: no evaluation, other classes, an attack that not every evaluation has, or another score.
    """
    labels = shared_attacks(results, attacks)
    if len(results) < 2:
        return {}
    return {
        (label, score): rank_correlation([mean_score(runs, label, score) for runs in results.values()], seed=seed)
        for label in labels
        for score in scores
    }
