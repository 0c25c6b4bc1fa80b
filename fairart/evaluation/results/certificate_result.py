"""The outcome of one certificate for every sample, and the numbers computed from it, class by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.results.worst_class import worst_class_interval
from fairart.norms import norm_order

__all__ = ["CertificateResult"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CertificateResult:
    """The outcome of one certificate.

    A sample is certified at a radius if its prediction is right and holds within that radius. At radius 0 that is the accuracy of
    what is certified: the model, or the classifier made of it.

    Args:
        label: its label.
        labels: (n,) true classes.
        predictions: (n,) certified classes; -1 where the certificate abstains.
        radii: (n,) radii >= 0 within which the prediction does not change, in the classifier's input units.
        nb_classes: K.
        config: the certificate with all its options, its norm, and whose predictions it is about.
        class_names: K names, or None.
    """

    label: str
    labels: IntArray
    predictions: IntArray
    radii: FloatArray
    nb_classes: int
    config: Mapping[str, Any]
    class_names: Sequence[str] | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{radius:.4g}: {self.accuracy_at(radius):.4f}" for radius in self.shown)
        return f"{type(self).__name__}({self.label!r}, n={len(self.labels)}, K={self.nb_classes}, {{{shown}}})"

    @property
    def order(self) -> float:
        """Order of the norm of the radii: inf or 2."""
        return norm_order(self.config.get("norm", 2)) or math.inf

    @property
    def deterministic(self) -> bool:
        """Whether the radii hold without exception, for the model itself."""
        return bool(self.config.get("deterministic", False))

    @property
    def subject(self) -> str:
        """Whose predictions are certified, in words."""
        return str(self.config.get("subject", "the model"))

    @property
    def shown(self) -> tuple[float, ...]:
        """The radii that tables show, ascending."""
        return tuple(float(radius) for radius in self.config.get("radii", (0.0,)))

    @cached_property
    def support(self) -> IntArray:
        """(K,) samples of each class."""
        return np.bincount(self.labels, minlength=self.nb_classes).astype(np.int64)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each prediction is right; an abstention is not."""
        same: npt.NDArray[np.bool_] = self.predictions == self.labels
        return same

    @property
    def abstained(self) -> IntArray:
        """(K,) samples of each class for which the certificate abstains."""
        return self._count(self.predictions < 0)

    def certified(self, radius: float) -> npt.NDArray[np.bool_]:
        """(n,) whether each sample is certified at a radius: right, and its own radius at least as large."""
        found: npt.NDArray[np.bool_] = self.right & (self.radii >= _checked(radius))
        return found

    def accuracy_at(self, radius: float) -> float:
        """Share of all samples certified at a radius >= 0."""
        return float(self.certified(radius).mean())

    def interval_at(self, radius: float) -> FloatArray:
        """(2,) 95 % Wilson interval of that share."""
        return wilson_interval(int(self.certified(radius).sum()), len(self.labels))

    def class_counts_at(self, radius: float) -> IntArray:
        """(K,) samples of each class certified at a radius."""
        return self._count(self.certified(radius))

    def class_accuracy_at(self, radius: float) -> FloatArray:
        """(K,) share of each class certified at a radius; NaN if the class is absent."""
        with np.errstate(invalid="ignore"):
            shares: FloatArray = self.class_counts_at(radius) / self.support
        return shares

    def class_intervals_at(self, radius: float) -> FloatArray:
        """(K, 2) 95 % Wilson interval of each of these shares."""
        return wilson_interval(self.class_counts_at(radius), self.support)

    def worst_class_at(self, radius: float) -> int:
        """Index of the class with the lowest share certified at a radius; the first of several."""
        return int(np.nanargmin(self.class_accuracy_at(radius)))

    def worst_class_interval_at(self, radius: float) -> FloatArray:
        """(2,) exact 95 % interval of the share of the worst class, whichever class that is."""
        return worst_class_interval(self.class_counts_at(radius), self.support)

    @cached_property
    def gained(self) -> FloatArray:
        """(n,) the radius of each sample, 0 where the prediction is wrong or missing."""
        return np.where(self.right, self.radii, 0.0)

    @cached_property
    def median_radius(self) -> FloatArray:
        """(K,) median radius of each class, where wrong predictions and abstentions count as 0; NaN if the class is absent."""
        return self._of_classes(np.median)

    @cached_property
    def mean_radius(self) -> FloatArray:
        """(K,) mean radius of each class, counted in the same way (the average certified radius of Zhai et al., ICLR 2020)."""
        return self._of_classes(np.mean)

    @property
    def weakest_class(self) -> int:
        """The class with the smallest median radius; of several, the one with the smallest mean."""
        present = np.flatnonzero(self.support)
        return int(min(present, key=lambda index: (self.median_radius[index], self.mean_radius[index])))

    def curve(self, radii: Sequence[float] | None = None) -> tuple[FloatArray, FloatArray]:
        """The share certified over the radius.

        Args:
            radii: (r,) where to take it; by default 0 and every radius at which a share falls, in exact steps.

        Returns:
            (r,) radii and (r, K + 1) shares of each class, all samples last; NaN for absent classes.
        """
        at = np.unique(np.append(self.gained, 0.0)) if radii is None else np.asarray(radii, dtype=np.float64)
        shares = [[*self.class_accuracy_at(float(radius)), self.accuracy_at(float(radius))] for radius in at]
        return at, np.array(shares, dtype=np.float64).reshape(len(at), self.nb_classes + 1)

    def name_of(self, index: int) -> str:
        """The name of a class."""
        return str(self.class_names[index]) if self.class_names else str(index)

    def _count(self, which: npt.NDArray[np.bool_]) -> IntArray:
        return np.bincount(self.labels[which], minlength=self.nb_classes).astype(np.int64)

    def _of_classes(self, statistic: Any) -> FloatArray:
        groups = [self.gained[self.labels == index] for index in range(self.nb_classes)]
        return np.array([float(statistic(group)) if len(group) else math.nan for group in groups])


def _checked(radius: float) -> float:
    if not radius >= 0:
        raise ValueError(f"radius must be a number >= 0, got {radius!r}")
    return radius
