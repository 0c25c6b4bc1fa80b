"""Temperature scaling: logits are divided by a number that is fitted on held-out images, so that confidences become honest.

One temperature for all samples (Guo et al., ICML 2017), or one for each predicted class (ours: top-label calibration, Gupta &
Ramdas, ICLR 2022, by temperatures). Both leave every prediction as it is and change confidences alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from fairart.evaluation.results.calibration import Reliability, calibration_by_class, reliability
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["FEWEST", "KINDS", "ScaledResult", "TemperatureResults", "Temperatures", "fitted_temperature", "scaled_confidences"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST = 20
"""Samples of a predicted class below which it takes the temperature of all: one number of a handful of samples is chance."""

KINDS = ("global", "per class")
"""One temperature for all samples, or one for each predicted class."""

_LOG_LOW, _LOG_HIGH = -4.0, 4.0
"""Temperatures from 0.018 to 55; outside it the model is all right or all wrong on the held-out images."""


def fitted_temperature(logits: FloatArray, labels: IntArray) -> float:
    """The temperature with the smallest mean cross-entropy (Guo et al., 2017), which has one minimum in 1 / T.

    Args:
        logits: (m, K) of held-out samples, m >= 1.
        labels: (m,) their classes.
    """
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        return -float(log_softmax(logits / np.exp(logarithm), axis=1)[rows, labels].mean())

    found = minimize_scalar(loss, bounds=(_LOG_LOW, _LOG_HIGH), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def scaled_confidences(logits: FloatArray, temperatures: npt.ArrayLike) -> FloatArray:
    """(n,) softmax probability of the predicted class once logits are divided by a temperature.

    Args:
        logits: (n, K).
        temperatures: a number, or (n,) one a sample.
    """
    scaled: FloatArray = softmax(logits / np.broadcast_to(np.asarray(temperatures), len(logits))[:, None], axis=1).max(axis=1)
    return scaled


@dataclass(frozen=True, eq=False)
class Temperatures:
    """Temperatures fitted on held-out samples.

    Args:
        overall: of all samples.
        classes: (K,) of each predicted class; that of all samples where it has none of its own.
        counts: (K,) held-out samples predicted as each class.
        own: (K,) whether the class has a temperature of its own: 20 samples or more were predicted as it, some of them right and
            some wrong. Where all are right, or all wrong, no finite temperature is the best.
    """

    overall: float
    classes: FloatArray
    counts: IntArray
    own: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, logits: FloatArray, labels: IntArray) -> Temperatures:
        """Fit them. The temperature of all samples is 1 where all are right, or all wrong.

        Args:
            logits: (m, K) of held-out samples.
            labels: (m,) their classes.
        """
        guesses = logits.argmax(axis=1)
        right = guesses == labels
        overall = 1.0 if right.all() or not right.any() else fitted_temperature(logits, labels)
        counts = np.bincount(guesses, minlength=logits.shape[1])
        correct = np.bincount(guesses[right], minlength=logits.shape[1])
        own = (counts >= FEWEST) & (correct > 0) & (correct < counts)
        classes = [
            fitted_temperature(logits[guesses == k], labels[guesses == k]) if fits else overall for k, fits in enumerate(own)
        ]
        return cls(overall, np.array(classes), counts.astype(np.int64), own)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays."""
        return {"overall": self.overall, "classes": self.classes, "counts": self.counts, "own": self.own}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Temperatures:
        """What :meth:`to_dict` gave."""
        classes = np.array(plain["classes"], dtype=np.float64)
        counts, own = np.array(plain["counts"], dtype=np.int64), np.array(plain["own"], dtype=np.bool_)
        if classes.ndim != 1 or not classes.shape == counts.shape == own.shape:
            raise ValueError("temperatures are one number a class")
        return cls(float(plain["overall"]), classes, counts, own)


@dataclass(frozen=True, eq=False)
class ScaledResult:
    """The confidences of one result after scaling.

    Args:
        result: of clean data, an attack or a shift; it has the confidences before.
        confidences: kind of :data:`KINDS` -> (n,) confidences.
    """

    result: AttackResult
    confidences: Mapping[str, FloatArray]

    def calibration(self, kind: str | None = None) -> Reliability:
        """Over all samples: before scaling, or after it.

        Args:
            kind: ``"global"``, ``"per class"``, or None for before.
        """
        return reliability(self.result.correct, self._confidences(kind))

    def class_calibration(self, kind: str | None = None) -> Sequence[Reliability]:
        """The same of each predicted class."""
        result = self.result
        return calibration_by_class(
            result.labels, result.predictions, self._confidences(kind), nb_classes=result.nb_classes
        )  # fmt: skip

    def _confidences(self, kind: str | None) -> FloatArray:
        if kind is not None:
            return self.confidences[kind]
        assert self.result.confidences is not None, "an evaluation with temperatures has confidences"
        return self.result.confidences


class TemperatureResults:
    """Temperatures, and what they make of the confidences of an evaluation.

    Each test image is scaled by temperatures that were fitted on the other half of the test images, clean; shifted images by
    those of all. So no image helps to choose its own temperature.

    Args:
        whole: fitted on all clean test images.
        halves: fitted on each half of them.
        scaled: label -> result: ``"clean"``, an attack, or the name of a shift in ``shifts``.
        shifts: the same for shifted test sets, by name.
    """

    def __init__(
        self,
        whole: Temperatures,
        halves: Sequence[Temperatures],
        scaled: Mapping[str, ScaledResult],
        shifts: Mapping[str, ScaledResult] | None = None,
    ) -> None:
        self.whole, self.halves = whole, tuple(halves)
        self.scaled, self.shifts = dict(scaled), dict(shifts or {})

    def __getitem__(self, label: str) -> ScaledResult:
        """The result of one label, or on one shift."""
        return self.scaled[label] if label in self.scaled else self.shifts[label]

    def all(self) -> list[tuple[str, ScaledResult]]:
        """Every result with its name, shifts last."""
        return [*self.scaled.items(), *((f"shift {name}", one) for name, one in self.shifts.items())]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays."""
        return {
            "whole": self.whole.to_dict(),
            "halves": [half.to_dict() for half in self.halves],
            "results": [{"label": label, **_to_dict(one)} for label, one in self.scaled.items()],
            "shifts": [{"label": name, **_to_dict(one)} for name, one in self.shifts.items()],
        }

    @classmethod
    def from_dict(
        cls, plain: Mapping[str, Any], results: Mapping[str, AttackResult], shifts: Mapping[str, AttackResult]
    ) -> TemperatureResults:
        """What :meth:`to_dict` gave, over the results that it is of.

        Raises:
            KeyError, TypeError, ValueError: something else, or confidences that are no shares.
        """
        return cls(
            Temperatures.from_dict(plain["whole"]),
            [Temperatures.from_dict(half) for half in plain["halves"]],
            {str(entry["label"]): _from_dict(entry, results[entry["label"]]) for entry in plain["results"]},
            {str(entry["label"]): _from_dict(entry, shifts[entry["label"]]) for entry in plain["shifts"]},
        )


def _to_dict(one: ScaledResult) -> dict[str, Any]:
    kinds: dict[str, str | None] = {"before": None, **{kind: kind for kind in KINDS}}
    return {
        "ece": {name: one.calibration(kind).ece for name, kind in kinds.items()},
        "overconfidence": {name: one.calibration(kind).overconfidence for name, kind in kinds.items()},
        "ece_by_predicted_class": {name: [part.ece for part in one.class_calibration(kind)] for name, kind in kinds.items()},
        "confidences": dict(one.confidences),
    }


def _from_dict(entry: Mapping[str, Any], result: AttackResult) -> ScaledResult:
    confidences = {kind: np.array(entry["confidences"][kind], dtype=np.float64) for kind in KINDS}
    for kind, values in confidences.items():
        if values.shape != result.labels.shape or not ((values > 0) & (values <= 1)).all():
            raise ValueError(f"confidences {kind!r} of {result.label!r} must be {len(result.labels)} shares in (0, 1]")
    return ScaledResult(result, confidences)
