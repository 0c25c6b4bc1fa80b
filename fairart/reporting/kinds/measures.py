"""A number of each class from what every test sample did, and the same number of other draws of seeds and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fairart.evaluation import AttackResult
from fairart.evaluation.results.calibration import NB_BINS, calibration_by_class
from fairart.evaluation.results.comparing.redrawing import redraw_seeds
from fairart.evaluation.results.ood_detection import LEAST

__all__ = ["Gaps", "Kind", "Means", "Measure", "Redraws", "placements"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """One kind of robustness, a column of the picture.

    Args:
        name: such as ``"pgd"`` or ``"ood noise"``; no two of a picture have the same.
        about: what its number is, one phrase.
        share: whether the number is a share, shown in per cent; otherwise a radius.
        higher_is_better: False for an error.
    """

    name: str
    about: str
    share: bool = True
    higher_is_better: bool = True


class Measure(Protocol):
    """The numbers of one run under one kind."""

    @property
    def labels(self) -> IntArray:
        """(n,) true classes of its samples."""

    def scores(self) -> FloatArray:
        """(K,) numbers of the classes; NaN for a class without one."""

    def drawn(self, weights: FloatArray) -> FloatArray:
        """(R, K) the same, where each sample counts as often as (R, n) weights say."""


@dataclass(frozen=True, eq=False)
class Means:
    """The mean over the samples of each true class.

    Args:
        labels: (n,) true classes.
        values: (n,) one number a sample, such as 1 where it is right.
        nb_classes: K.
    """

    labels: IntArray
    values: FloatArray
    nb_classes: int

    def scores(self) -> FloatArray:
        """(K,) means; NaN for a class without samples."""
        means: FloatArray = self.drawn(np.ones((1, len(self.labels))))[0]
        return means

    def drawn(self, weights: FloatArray) -> FloatArray:
        """(R, K) weighted means."""
        found = np.full((len(weights), self.nb_classes), np.nan)
        for index in np.unique(self.labels):
            own = self.labels == index
            found[:, index] = weights[:, own] @ self.values[own] / weights[:, own].sum(axis=1)
        return found


@dataclass(frozen=True, eq=False)
class Gaps:
    """The expected calibration error over the samples that are predicted as each class, see :mod:`calibration`.

    A class that is predicted fewer than 10 times has none: noise would count as error.

    Args:
        result: predictions with confidences.
    """

    result: AttackResult

    @property
    def labels(self) -> IntArray:
        """(n,) true classes."""
        return self.result.labels

    def scores(self) -> FloatArray:
        """(K,) calibration errors."""
        found, sure = self.result, self.result.confidences
        assert sure is not None
        diagrams = calibration_by_class(found.labels, found.predictions, sure, nb_classes=found.nb_classes)
        return np.array([one.ece if one.total >= LEAST else np.nan for one in diagrams])

    def drawn(self, weights: FloatArray) -> FloatArray:
        """(R, K) calibration errors of the draws, with the same bins."""
        from scipy.sparse import csr_array

        found, sure = self.result, self.result.confidences
        assert sure is not None
        number, nb_classes = len(found.labels), found.nb_classes
        place = np.searchsorted(np.linspace(0, 1, NB_BINS + 1)[1:-1], sure, side="left")
        cells = found.predictions * NB_BINS + place
        gaps = csr_array((sure - found.correct, cells, np.arange(number + 1)), shape=(number, nb_classes * NB_BINS))
        ones = csr_array((np.ones(number), found.predictions, np.arange(number + 1)), shape=(number, nb_classes))
        # Within a bin, mean confidence less accuracy times samples is the sum of the gaps of its samples.
        sums = np.abs(weights @ gaps).reshape(len(weights), nb_classes, NB_BINS).sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn: FloatArray = sums / (weights @ ones)
        return np.where(np.isnan(self.scores()), np.nan, drawn)


def placements(inside: FloatArray, outside: FloatArray) -> FloatArray:
    """(m,) for each of m scores, the share of n others that lie below it, ties by half: their mean is the AUROC.

    Args:
        inside: (m,) scores of test images.
        outside: (n,) scores of outliers, n >= 1.
    """
    ordered = np.sort(outside)
    low, high = np.searchsorted(ordered, inside, side="left"), np.searchsorted(ordered, inside, side="right")
    shares: FloatArray = (low + high) / (2 * len(ordered))
    return shares


class Redraws:
    """Draws of seeds and of test samples with replacement, as many samples of each class as there are.

    Equal labels get equal draws: a sample counts as often under every kind that has the same test images, and in every run.
    So do equal numbers of seeds, in the order in which the runs of a method come.

    Args:
        number: R.
        seed: of the draws.
    """

    def __init__(self, number: int, seed: int) -> None:
        self.number, self.seed = number, seed
        self._made: dict[bytes, FloatArray] = {}

    def weights(self, labels: IntArray) -> FloatArray:
        """(R, n) how often each draw holds each sample.

        Args:
            labels: (n,) true classes.
        """
        key = labels.tobytes()
        if key not in self._made:
            self._made[key] = self._draw(labels, np.random.default_rng([self.seed, 2, len(self._made)]))
        return self._made[key]

    def over_seeds(self, drawn: FloatArray) -> FloatArray:
        """(R, K) means over the seeds that each draw holds; of one seed, its own numbers.

        Args:
            drawn: (R, seeds, K) numbers of each seed under the draws of the samples.
        """
        seeds = drawn.shape[1]
        if seeds == 1:
            return drawn[:, 0]
        chosen = redraw_seeds(seeds, draws=self.number, seed=self.seed)
        means: FloatArray = np.take_along_axis(drawn, chosen[:, :, None], axis=1).mean(axis=1)
        return means

    def _draw(self, labels: IntArray, random: np.random.Generator) -> FloatArray:
        weights = np.zeros((self.number, len(labels)))
        for index in np.unique(labels):
            own = np.flatnonzero(labels == index)
            chosen = random.integers(0, len(own), (self.number, len(own)))
            flat = chosen + len(own) * np.arange(self.number)[:, None]
            weights[:, own] = np.bincount(flat.ravel(), minlength=self.number * len(own)).reshape(self.number, len(own))
        return weights
