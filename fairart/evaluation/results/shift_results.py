"""Results on shifted test sets: another camera, another hospital, another year."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.intervals import newcombe_interval
from fairart.evaluation.results.line import Line, fitted_line, probit
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["Drop", "ShiftResults"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drop:
    """How much lower accuracies are on a shifted test set than on the test set itself.

    Args:
        clean: on the test set itself.
        shifted: on the shifted one, with its own samples.
    """

    clean: AttackResult
    shifted: AttackResult

    @property
    def overall(self) -> float:
        """Clean less shifted accuracy, in [-1, 1]."""
        return self.clean.accuracy - self.shifted.accuracy

    @property
    def interval(self) -> FloatArray:
        """(2,) 95 % interval of it, by Newcombe: the two sets of samples are independent."""
        pairs = [(int(one.correct.sum()), len(one.labels)) for one in (self.clean, self.shifted)]
        return newcombe_interval(*pairs[0], *pairs[1])

    @property
    def relative(self) -> float:
        """Share of the clean accuracy that is lost; below 0 for a gain, NaN if the clean accuracy is 0."""
        return self.overall / self.clean.accuracy if self.clean.accuracy > 0 else math.nan

    @property
    def of_classes(self) -> FloatArray:
        """(K,) clean less shifted accuracy of each class; NaN if it is absent from one of the sets."""
        return self.clean.class_accuracy - self.shifted.class_accuracy

    @property
    def relative_of_classes(self) -> FloatArray:
        """(K,) share of each class's clean accuracy that is lost."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: FloatArray = self.of_classes / self.clean.class_accuracy
        return np.where(np.isfinite(found), found, np.nan)

    @property
    def class_intervals(self) -> FloatArray:
        """(K, 2) 95 % interval of each class's drop, by Newcombe."""
        clean, shifted = self.clean.confusion, self.shifted.confusion
        return newcombe_interval(np.diag(clean.counts), clean.support, np.diag(shifted.counts), shifted.support)

    @cached_property
    def line(self) -> Line | None:
        """The clean-to-shift line over the classes; None with fewer than three of them."""
        clean, shifted = self.clean.confusion, self.shifted.confusion
        return fitted_line(
            probit(np.diag(clean.counts), clean.support), probit(np.diag(shifted.counts), shifted.support)
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays."""
        return {
            "overall": self.overall,
            "interval": self.interval,
            "relative": self.relative,
            "classes": self.of_classes,
            "class_intervals": self.class_intervals,
            "relative_of_classes": self.relative_of_classes,
            "line_over_classes": None if self.line is None else self.line.to_dict(),
        }


class ShiftResults(Mapping[str, AttackResult]):
    """Results by the name of the shifted test set. Each has its own samples. Empty if none was evaluated.

    Args:
        results: name -> result, labelled by the name.
        sources: name -> where the images come from, plain values.

    Raises:
        ValueError: results with other numbers of classes.
    """

    def __init__(
        self, results: Mapping[str, AttackResult] | None = None, *, sources: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._results = dict(results or {})
        self.sources = {name: dict((sources or {}).get(name, {})) for name in self._results}
        if len({result.nb_classes for result in self._results.values()}) > 1:
            raise ValueError("results of shifted test sets have one number of classes")

    def __getitem__(self, name: str) -> AttackResult:
        """The result on one shifted test set."""
        try:
            return self._results[name]
        except KeyError:
            raise KeyError(f"no shift {name!r}; {did_you_mean(name, self._results)}") from None

    def __iter__(self) -> Iterator[str]:
        """Names, in the order in which they ran."""
        return iter(self._results)

    def __len__(self) -> int:
        """Number of shifted test sets."""
        return len(self._results)

    def __repr__(self) -> str:
        return f"ShiftResults({', '.join(f'{name}={result.accuracy:.4f}' for name, result in self.items())})"

    def drop(self, name: str, clean: AttackResult) -> Drop:
        """How much lower the accuracies are than on the test set itself.

        Args:
            name: of the shift.
            clean: the result on the test set itself.
        """
        return Drop(clean, self[name])
