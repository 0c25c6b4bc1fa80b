"""The outcome of one attack, or of clean data, by group and by class within each group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.calibration import Reliability, reliability
from fairart.evaluation.results.groups.gaps import Gaps, gaps
from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.worst_class import worst_class_interval, worst_class_probability
from fairart.statistics import ConfusionMatrix, Groups

__all__ = ["SMALL", "GroupedResult"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SMALL = 30
"""Cells with fewer samples are marked in tables: near 50 %, their 95 % interval is wider than 34 points."""


class GroupedResult:
    """One result, group by group. G is the number of groups, K the number of classes; a cell without samples is NaN.

    Args:
        result: of one attack, of clean data, of a corruption, or a worst case.
        groups: of the same n samples.

    Raises:
        ValueError: groups of another number of samples.
    """

    def __init__(self, result: AttackResult, groups: Groups) -> None:
        if len(groups.index) != len(result.labels):
            raise ValueError(
                f"groups by {groups.name!r} are of {len(groups.index)} samples, {result.label!r} is of {len(result.labels)}"
            )
        self.result, self.groups = result, groups

    @cached_property
    def confusion(self) -> Sequence[ConfusionMatrix]:
        """G confusion matrices."""
        labels, guesses, index = self.result.labels, self.result.predictions, self.groups.index
        return [
            ConfusionMatrix.of(labels[index == group], guesses[index == group], nb_classes=self.result.nb_classes)
            for group in range(len(self.groups))
        ]

    @cached_property
    def class_correct(self) -> IntArray:
        """(G, K) right samples of each group and class."""
        return np.stack([np.diag(one.counts) for one in self.confusion])

    @cached_property
    def class_support(self) -> IntArray:
        """(G, K) samples of each group and class."""
        return np.stack([one.support for one in self.confusion])

    @property
    def correct(self) -> IntArray:
        """(G,) right samples of each group."""
        return np.asarray(self.class_correct.sum(axis=1))

    @property
    def support(self) -> IntArray:
        """(G,) samples of each group."""
        return np.asarray(self.class_support.sum(axis=1))

    @property
    def accuracy(self) -> FloatArray:
        """(G,) share of each group's samples that is right."""
        return np.array([one.accuracy for one in self.confusion])

    @property
    def class_accuracy(self) -> FloatArray:
        """(G, K) share of each class's samples that is right, in each group."""
        return np.stack([one.class_accuracy for one in self.confusion])

    @property
    def confidence_interval(self) -> FloatArray:
        """(G, 2) 95 % Wilson interval of each group's accuracy."""
        return wilson_interval(self.correct, self.support)

    @property
    def class_confidence_interval(self) -> FloatArray:
        """(G, K, 2) 95 % Wilson interval of each class's accuracy in each group."""
        return wilson_interval(self.class_correct, self.class_support)

    @property
    def worst_group(self) -> int:
        """Index of the group with the lowest accuracy."""
        return int(np.nanargmin(self.accuracy))

    @property
    def worst_group_name(self) -> str:
        """Name of that group."""
        return self.groups.names[self.worst_group]

    @cached_property
    def worst_group_interval(self) -> FloatArray:
        """(2,) exact 95 % interval of the true accuracy of the worst group, whichever group that is."""
        return worst_class_interval(self.correct, self.support)

    @cached_property
    def worst_group_probability(self) -> FloatArray:
        """(G,) probability that each group is the worst, given the measured counts."""
        return worst_class_probability(self.correct, self.support)

    @property
    def worst_cell(self) -> tuple[int, int]:
        """Group and class with the lowest accuracy, of the cells that have samples; among equal ones the one with most."""
        rates = self.class_accuracy
        lowest = np.where(rates == np.nanmin(rates), self.class_support, -1)
        place = int(lowest.argmax())
        return place // self.result.nb_classes, place % self.result.nb_classes

    @property
    def worst_cell_name(self) -> tuple[str, str]:
        """Names of that group and class."""
        group, label = self.worst_cell
        names = self.result.class_names
        return self.groups.names[group], names[label] if names else str(label)

    @cached_property
    def worst_cell_interval(self) -> FloatArray:
        """(2,) exact 95 % interval of the true accuracy of the worst cell, whichever cell that is."""
        return worst_class_interval(self.class_correct.reshape(-1), self.class_support.reshape(-1))

    def calibration(self) -> Sequence[Reliability] | None:
        """A reliability diagram of each group; None without confidences."""
        sure, right = self.result.confidences, self.result.correct
        if sure is None:
            return None
        return [reliability(right[self.groups.index == g], sure[self.groups.index == g]) for g in range(len(self.groups))]

    @cached_property
    def gaps(self) -> Gaps:
        """How far apart the groups are, by fairlearn's names."""
        return gaps(list(self.confusion), self.result.accuracy)

    def metric_frame(self, metrics: Any = None, **options: Any) -> Any:
        """The same samples as a ``MetricFrame`` of fairlearn, for its other metrics, plots and bootstrap intervals.

        Args:
            metrics: what ``MetricFrame`` takes, functions of true and predicted classes; None for the accuracy.
            options: further arguments of ``MetricFrame``, such as ``n_boot=100, ci_quantiles=[0.025, 0.975]``.

        Raises:
            ImportError: fairlearn is not installed (``pip install "fairart[fairlearn]"``).
        """
        try:
            from fairlearn.metrics import MetricFrame
        except ImportError as error:
            raise ImportError('metric_frame needs fairlearn: pip install "fairart[fairlearn]"') from error
        from sklearn.metrics import accuracy_score

        return MetricFrame(
            metrics={"accuracy": accuracy_score} if metrics is None else metrics,
            y_true=self.result.labels,
            y_pred=self.result.predictions,
            sensitive_features={self.groups.name: np.asarray(self.groups.names)[self.groups.index]},
            **options,
        )
