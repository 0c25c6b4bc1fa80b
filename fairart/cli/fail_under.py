"""``--fail-under``: a limit on a metric of an evaluation, for pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairart.cli.parser import UsageError
from fairart.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from fairart.evaluation import EvaluationResult
    from fairart.evaluation.results.outcome import AttackResult

__all__ = ["Gate", "parse_gate"]

ACCURACY = "accuracy"
CLEAN = "clean"
REDRAWN = 2000
"""Confusion matrices drawn for the interval of a metric that has none of its own."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A metric that must not be below a value.

    Args:
        text: as the user wrote it.
        attack: label of the result; None for the lowest value over all results.
        metric: ``"accuracy"`` or a registered fairness metric.
        least: the smallest value that passes.
    """

    text: str
    attack: str | None
    metric: str
    least: float

    def failure(self, result: EvaluationResult) -> str:
        """One line with value and 95 % interval if the metric is too low or not defined, else an empty text.

        Args:
            result: the evaluation.
        """
        found = [result[self.attack]] if self.attack is not None else list(result.values())
        values = [(_value(each, self.metric), each) for each in found]
        # A metric that is not defined cannot pass.
        value, lowest = min(values, key=lambda pair: -math.inf if math.isnan(pair[0]) else pair[0])
        if value >= self.least:
            return ""
        low, high = _interval(lowest, self.metric)
        return (
            f"{lowest.label}: {self.metric} is {value:.4g}, 95 % interval [{low:.4g}, {high:.4g}], "
            f"{len(lowest.labels)} images; --fail-under asks for {self.least:g}"
        )


def parse_gate(text: str, attacks: Sequence[str]) -> Gate:
    """Read ``METRIC=VALUE`` or ``ATTACK.METRIC=VALUE``.

    Args:
        text: what the user wrote.
        attacks: attacks of the evaluation.

    Raises:
        UsageError: another form, an attack that is not run, or no such metric.
    """
    from fairart.plugins import registered

    name, equals, written = text.partition("=")
    attack, dot, metric = name.rpartition(".")
    try:
        least = float(written)
    except ValueError:
        equals = ""
    if not equals or not metric or not math.isfinite(least):
        raise UsageError(f"--fail-under expects METRIC=VALUE or ATTACK.METRIC=VALUE, such as pgd.accuracy=0.45, got {text!r}")
    labels = (CLEAN, *attacks)
    if dot and attack not in labels:
        raise UsageError(f"--fail-under {text}: there is no result {attack!r}; {did_you_mean(attack, labels)}")
    known = (ACCURACY, *registered("fairness_metric"))
    if metric not in known:
        raise UsageError(f"--fail-under {text}: there is no metric {metric!r}; {did_you_mean(metric, known)}")
    return Gate(text=text, attack=attack or None, metric=metric, least=least)


def _value(result: AttackResult, metric: str) -> float:
    from fairart import create

    if metric == ACCURACY:
        return result.accuracy
    return float(create("fairness_metric", metric)(result.confusion))


def _interval(result: AttackResult, metric: str) -> tuple[float, float]:
    """95 % interval: Wilson's for the accuracy, the exact one for the worst class, else by redrawing the samples."""
    if metric == ACCURACY:
        low, high = result.accuracy_interval
        return float(low), float(high)
    if metric == "worst-class":
        low, high = result.worst_class_interval
        return float(low), float(high)
    import numpy as np

    from fairart.statistics import ConfusionMatrix

    counts: Any = result.confusion.counts
    generator = np.random.default_rng(0)
    from fairart import create

    function = create("fairness_metric", metric)
    # Within classes: the number of test samples of a class is given, not drawn.
    rows = [
        generator.multinomial(int(row.sum()), row / row.sum(), size=REDRAWN) if row.sum() else np.zeros((REDRAWN, len(row)), int)
        for row in counts
    ]
    values = [float(function(ConfusionMatrix(matrix))) for matrix in np.stack(rows, axis=1)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
