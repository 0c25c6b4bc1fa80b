"""What one epoch did: statistics and the plan it was trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from fairart.notebooks import data_frame, html_table
from fairart.statistics import ComparedByValue, ConfusionMatrix, EpochStatistics, ValidationStatistics

__all__ = ["EpochRecord", "History"]

if TYPE_CHECKING:
    from pandas import DataFrame

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochRecord(ComparedByValue):
    """One entry of a trainer's history.

    Args:
        statistics: what the epoch measured.
        loss: mean training loss.
        epsilons: (K,) budget of each class in this epoch.
        target_probabilities: (K, K) probability of aiming at j given true class i; None for untargeted training or targets that
            are chosen sample by sample.
        class_weights: (K,) weight of each class in the loss.
        learning_rate: of the first parameter group.
        averaged: whether the epoch entered the averaged weights; None without averaging.
        sampling: (K,) probabilities with which the epoch began to draw classes; None where every sample is drawn once.
        pair_weights: (K, K) weight of each (predicted, true) pair in the loss; None without such a weighting.
        group_weights: weight of each group in the loss as the epoch began, by name; None where groups are not weighed.
        pgd_accuracy: accuracy under PGD-10 on a few hundred training samples; None unless single-step training is watched.
        overfitted: whether the epoch showed catastrophic overfitting.
        relabelled: (K,) share of the samples of each given class that were trained with another label; None unless labels are
            replaced (self-training).
        seconds: wall-clock time, validation included.
        images_per_second: training images over the time spent training.
    """

    statistics: EpochStatistics
    loss: float
    epsilons: FloatArray
    target_probabilities: FloatArray | None
    class_weights: FloatArray
    learning_rate: float
    averaged: bool | None
    seconds: float
    images_per_second: float
    sampling: FloatArray | None = None
    pair_weights: FloatArray | None = None
    group_weights: dict[str, float] | None = None
    pgd_accuracy: float | None = None
    overfitted: bool = False
    relabelled: FloatArray | None = None

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 0."""
        return self.statistics.epoch

    @property
    def robust(self) -> ConfusionMatrix:
        """Predictions on the adversarial training batches."""
        return self.statistics.robust

    @property
    def clean(self) -> ConfusionMatrix | None:
        """Predictions on the clean training batches, where measured."""
        return self.statistics.clean

    @property
    def validation(self) -> ValidationStatistics | None:
        """The validation pass, where there was one."""
        return self.statistics.validation

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        targets = self.target_probabilities
        return {
            **self.statistics.to_dict(),
            "loss": self.loss,
            "robust_accuracy": self.robust.accuracy,
            "robust_worst_class_accuracy": self.robust.worst_class_accuracy(),
            "epsilons": self.epsilons.tolist(),
            "target_probabilities": None if targets is None else targets.tolist(),
            "class_weights": self.class_weights.tolist(),
            "learning_rate": self.learning_rate,
            "averaged": self.averaged,
            **self._only_where_there(),
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }

    def _only_where_there(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("sampling", "pair_weights", "relabelled"):
            plan = getattr(self, name)
            if plan is not None:
                found[name] = plan.tolist()
        if self.group_weights is not None:
            found["group_weights"] = self.group_weights
        if self.pgd_accuracy is not None:
            found.update(pgd_accuracy=self.pgd_accuracy, overfitted=self.overfitted)
        return found

    def to_json(self) -> str:
        """One line of ``history.jsonl``."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def state_dict(self) -> dict[str, Any]:
        """Every field, arrays as arrays, for a checkpoint; :meth:`from_state` takes it back."""
        plain = {name: value for name, value in vars(self).items() if name != "statistics"}
        return {**plain, "statistics": _statistics_state(self.statistics)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> EpochRecord:
        """The record that :meth:`state_dict` described."""
        return cls(**{**state, "statistics": _statistics(state["statistics"])})


class History(list[EpochRecord]):
    """The epochs of a trainer, a list of :class:`EpochRecord` that shows itself in notebooks."""

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> EpochRecord: ...

    @overload
    def __getitem__(self, place: slice, /) -> History: ...

    def __getitem__(self, place: SupportsIndex | slice, /) -> EpochRecord | History:
        """One epoch, or several as a history."""
        return History(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)

    def _repr_html_(self) -> str:
        """One row an epoch."""
        heads = ("epoch", "loss", "learning rate", "robust accuracy", "worst class", "its accuracy", "eps", "seconds")
        return html_table(heads, [_summary(record) for record in self], title=f"{len(self)} epochs")

    def to_frame(self) -> DataFrame:
        """One row an epoch and class, as a pandas data frame.

        Columns: epoch, class, n (training samples), robust_accuracy, clean_accuracy (NaN unless measured), eps, weight, and
        targeted, the share of the examples aimed at the class (NaN for untargeted training).

        Raises:
            ImportError: pandas is not installed.
        """
        columns = ("epoch", "class", "n", "robust_accuracy", "clean_accuracy", "eps", "weight", "targeted")
        rows = []
        for record in self:
            robust, nothing = record.robust, np.full(record.robust.nb_classes, np.nan)
            clean = nothing if record.clean is None else record.clean.class_accuracy
            aims = nothing
            if record.target_probabilities is not None and robust.total:
                aims = robust.support / robust.total @ record.target_probabilities
            per_class = (robust.support, robust.class_accuracy, clean, record.epsilons, record.class_weights, aims)
            for k, values in enumerate(zip(*per_class, strict=True)):
                rows.append(dict(zip(columns, (record.epoch, k, int(values[0]), *map(float, values[1:])), strict=True)))
        return data_frame(rows, columns)


def _summary(record: EpochRecord) -> list[str]:
    robust, low, high = record.robust, record.epsilons.min(), record.epsilons.max()
    worst = str(robust.worst_class) if robust.total else "-"
    return [
        str(record.epoch),
        f"{record.loss:.4f}",
        f"{record.learning_rate:.4g}",
        f"{robust.accuracy:.1%}",
        worst,
        f"{robust.worst_class_accuracy():.1%}",
        f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}",
        f"{record.seconds:.1f}",
    ]


def _statistics_state(statistics: EpochStatistics) -> dict[str, Any]:
    validation = statistics.validation
    held = None
    if validation is not None:
        held = {**vars(validation), "clean": validation.clean.counts, "robust": validation.robust.counts}
    clean = None if statistics.clean is None else statistics.clean.counts
    return {**vars(statistics), "robust": statistics.robust.counts, "clean": clean, "validation": held}


def _statistics(state: Mapping[str, Any]) -> EpochStatistics:
    held, clean = state["validation"], state["clean"]
    validation = None
    if held is not None:
        validation = ValidationStatistics(
            **{**held, "clean": ConfusionMatrix(held["clean"]), "robust": ConfusionMatrix(held["robust"])}
        )
    return EpochStatistics(
        **{
            **state,
            "robust": ConfusionMatrix(state["robust"]),
            "clean": None if clean is None else ConfusionMatrix(clean),
            "validation": validation,
        }
    )
