"""Scaling confidences while an evaluation runs: temperatures of two halves, each used on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairart.engine.data import stratified_split
from fairart.evaluation.results.temperature import KINDS, Temperatures, scaled_confidences
from fairart.evaluation.running.partial import Columns

__all__ = ["COLUMNS", "Scaling"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

COLUMNS = {kind: f"scaled_{kind.replace(' ', '_')}" for kind in KINDS}
"""Kind of temperature -> name of the column of its confidences."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Temperatures for test images, and for others.

    Args:
        whole: fitted on all test images: for images that are none of them.
        halves: fitted on each half.
        half_of: (n,) the half that each test image is in; it takes the temperatures of the other one.
    """

    whole: Temperatures
    halves: tuple[Temperatures, Temperatures]
    half_of: IntArray

    @classmethod
    def of(cls, logits: FloatArray, labels: IntArray, seed: int) -> Scaling:
        """Fit temperatures on the logits of clean test images.

        Args:
            logits: (n, K).
            labels: (n,) classes.
            seed: of the split into halves, each of which has half of every class.

        Raises:
            ValueError: fewer than two test images of every class, so that one half would have none.
        """
        first, second = stratified_split(labels, 0.5, seed)
        if not len(second):
            raise ValueError(
                "temperature: expected two test images or more of a class, half of which the other half is scaled by"
            )
        half_of = np.zeros(len(labels), dtype=np.int64)
        half_of[second] = 1
        halves = (Temperatures.of(logits[first], labels[first]), Temperatures.of(logits[second], labels[second]))
        return cls(Temperatures.of(logits, labels), halves, half_of)

    def columns(self, logits: FloatArray, places: IntArray | None) -> Columns:
        """Confidences of each kind, by the names of their columns.

        Args:
            logits: (b, K) of some images.
            places: (b,) which test images they are, as they are or attacked; None for other images.
        """
        guesses = logits.argmax(axis=1)
        if places is None:
            overall, classes = np.full(len(logits), self.whole.overall), self.whole.classes[guesses]
        else:
            other = 1 - self.half_of[places]
            overall = np.array([half.overall for half in self.halves])[other]
            classes = np.stack([half.classes for half in self.halves])[other, guesses]
        found = {"global": overall, "per class": classes}
        return {COLUMNS[kind]: scaled_confidences(logits, found[kind]) for kind in KINDS}
