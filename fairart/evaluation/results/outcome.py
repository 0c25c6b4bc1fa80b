"""The outcome of every sample under one attack, and the numbers computed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.errors import PluginError
from fairart.evaluation.attacks.norms import Budget
from fairart.evaluation.results.calibration import NB_BINS, Reliability, calibration_by_class, reliability
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.results.worst_class import worst_class_interval, worst_class_probability
from fairart.notebooks import html_table
from fairart.plugins import BUILTIN, registered
from fairart.plugins.options import declared_options
from fairart.statistics import ConfusionMatrix

__all__ = ["AttackResult", "Perturbation"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Perturbation:
    """How much an attack changed the samples that it was run on. Norms are after projection, in input units.

    Args:
        nb_attacked: number of samples it was run on: those that are right on clean data.
        share_changed: share of them with any change; NaN if no sample was attacked.
        max_linf: largest L-inf norm of a change.
        mean_linf: mean over samples of the L-inf norm.
        share_outside: share whose output lay outside its budget or the clip values and was projected back.
    """

    nb_attacked: int
    share_changed: float
    max_linf: float
    mean_linf: float
    share_outside: float

    @classmethod
    def of(cls, norms: FloatArray, outside: npt.NDArray[np.bool_]) -> Perturbation:
        """Sum up the (n,) L-inf norms of the changes, and (n,) whether each output had to be projected back."""
        if not len(norms):
            return cls(0, math.nan, math.nan, math.nan, math.nan)
        return cls(len(norms), float((norms > 0).mean()), float(norms.max()), float(norms.mean()), float(np.mean(outside)))


@dataclass(frozen=True, eq=False)
class AttackResult:
    """The outcome of one attack, or of clean data.

    Args:
        label: its label.
        labels: (n,) true classes.
        predictions: (n,) predicted classes; the clean prediction if that was already wrong.
        nb_classes: K.
        config: the attack with all its options.
        perturbation: how much it changed the samples; None for clean data and worst cases.
        class_names: K names, or None.
        confidences: (n,) softmax probability of the predicted class, in (0, 1], for the example that was predicted; None in
            results of older files.
    """

    label: str
    labels: IntArray
    predictions: IntArray
    nb_classes: int
    config: Mapping[str, Any]
    perturbation: Perturbation | None = None
    class_names: Sequence[str] | None = None
    confidences: FloatArray | None = None

    @cached_property
    def confusion(self) -> ConfusionMatrix:
        """(K, K) counts, rows true, columns predicted."""
        return ConfusionMatrix.of(self.labels, self.predictions, nb_classes=self.nb_classes)

    @property
    def budget(self) -> Budget | None:
        """Norm and eps that limit the attack; None for clean data and for an attack without a budget, such as a rotation."""
        return Budget.of(canonical(self.config.get("options", {})))

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each sample is still right."""
        right: npt.NDArray[np.bool_] = self.predictions == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """Share of all samples still right."""
        return self.confusion.accuracy

    @property
    def class_accuracy(self) -> FloatArray:
        """(K,) share of each class's samples still right, NaN if the class is absent."""
        return self.confusion.class_accuracy

    @property
    def worst_class(self) -> int:
        """Index of the class with the lowest accuracy."""
        return self.confusion.worst_class

    @property
    def worst_class_name(self) -> str:
        """Name of that class; its index if there are no names."""
        return self.class_names[self.worst_class] if self.class_names else str(self.worst_class)

    def worst_class_accuracy(self, fraction: float | None = None) -> float:
        """Accuracy of the worst class, or the mean over the worst ``fraction`` of the classes, in (0, 1]."""
        return self.confusion.worst_class_accuracy(fraction)

    @cached_property
    def worst_class_probability(self) -> FloatArray:
        """(K,) probability that each class is the worst, given the measured counts; NaN if the class is absent."""
        return worst_class_probability(np.diag(self.confusion.counts), self.confusion.support)

    @cached_property
    def worst_class_interval(self) -> FloatArray:
        """(2,) exact 95 % interval of the true accuracy of the worst class, whichever class that is."""
        return worst_class_interval(np.diag(self.confusion.counts), self.confusion.support)

    def calibration(self, *, nb_bins: int = NB_BINS) -> Reliability | None:
        """Reliability diagram and calibration error over all samples; None without confidences.

        Samples that are wrong on clean data count with their clean confidence under every attack.

        Args:
            nb_bins: equal-width bins of confidence.
        """
        return None if self.confidences is None else reliability(self.correct, self.confidences, nb_bins=nb_bins)

    def class_calibration(self, *, by: str = "predicted", nb_bins: int = NB_BINS) -> Sequence[Reliability] | None:
        """A reliability diagram of each class; None without confidences.

        Args:
            by: ``"predicted"`` groups samples by their predicted class, ``"true"`` by their true class.
            nb_bins: equal-width bins of confidence.
        """
        if self.confidences is None:
            return None
        return calibration_by_class(
            self.labels, self.predictions, self.confidences, nb_classes=self.nb_classes, by=by, nb_bins=nb_bins
        )

    @property
    def cfps(self) -> FloatArray:
        """(K,) class false positive score, summing to 1 (FAIR-TAT, Eq. 8)."""
        return self.confusion.cfps

    @property
    def confidence_interval(self) -> FloatArray:
        """(K, 2) 95 % Wilson interval of each class's accuracy, NaN if the class is absent."""
        return self.intervals()

    @property
    def accuracy_interval(self) -> FloatArray:
        """(2,) 95 % Wilson interval of the accuracy over all samples."""
        return wilson_interval(int(self.correct.sum()), len(self.labels))

    def intervals(self, level: float = 0.95) -> FloatArray:
        """(K, 2) Wilson interval of each class's accuracy at another level in (0, 1)."""
        return wilson_interval(np.diag(self.confusion.counts), self.confusion.support, level=level)

    def _repr_html_(self) -> str:
        """A table of classes for notebooks: test samples, accuracy in per cent and 95 % interval."""
        names = self.class_names or [str(index) for index in range(self.nb_classes)]
        places = [*range(self.nb_classes), self.worst_class]
        heads = [*names, f"worst class: {self.worst_class_name}", "overall"]
        counts = [*self.confusion.support[places], len(self.labels)]
        shares = [*self.class_accuracy[places], self.accuracy]
        ends = [*self.confidence_interval, self.worst_class_interval, self.accuracy_interval]
        rows = [
            (name, str(count), *("-" if math.isnan(value) else f"{100 * value:.1f}" for value in (share, *pair)))
            for name, count, share, pair in zip(heads, counts, shares, ends, strict=True)
        ]
        return html_table(("class", "n", "accuracy, %", "from", "to"), rows, ruled=[self.nb_classes], title=self.label)

    def metrics(
        self, *, baseline: AttackResult | ConfusionMatrix | None = None, training_counts: Sequence[int] | None = None
    ) -> dict[str, float]:
        """Every registered fairness metric with its default options.

        Args:
            baseline: a result to compare with. Without it, metrics that need a baseline are left out.
            training_counts: (K,) training images of each class. Without them, metrics of head, middle and tail are left out.

        Returns:
            name -> value; NaN if it is not defined.

        Raises:
            PluginError: a metric of a plugin raised an exception, or did not return a number.
        """
        reference = baseline.confusion if isinstance(baseline, AttackResult) else baseline
        values: dict[str, float] = {}
        for name, entry in registered("fairness_metric").items():
            metric = entry.load()
            required = {key for key, spec in declared_options(metric, keyword_only=True).items() if spec.required}
            known = {"baseline": reference, "training_counts": training_counts}
            options = {key: value for key, value in known.items() if key in required and value is not None}
            if required - options.keys():
                continue
            try:
                values[name] = float(metric(self.confusion, **options))
            except Exception as error:  # a metric of a plugin may raise any exception; the message names it
                if entry.plugin == BUILTIN:
                    raise
                raise PluginError(
                    f"plugin {entry.plugin!r}: fairness_metric {name!r} raised {type(error).__name__}: {error}"
                ) from error
        return values
