"""The confusion matrix of a classifier, rows true, columns predicted, and every statistic that follows from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.notebooks import html_table
from fairart.statistics.accuracies import accuracy, class_accuracy, one_vs_rest_accuracy, worst_class_accuracy
from fairart.statistics.cfps import class_false_negative_score, class_false_positive_score

__all__ = ["ConfusionMatrix"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _whole(values: npt.NDArray[Any]) -> bool:
    """Whether numbers are whole and finite, whatever their type."""
    if values.dtype.kind in "biu":
        return True
    return values.dtype.kind == "f" and bool(np.isfinite(values).all() and np.array_equal(values, np.floor(values)))


class ConfusionMatrix:
    """Counts of true against predicted classes, and the statistics of the field.

    Args:
        counts: (K, K) non-negative whole numbers, rows true classes, columns predictions.

    Raises:
        ValueError: not square, negative, or not whole.
    """

    def __init__(self, counts: npt.ArrayLike) -> None:
        array = np.asarray(counts)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 1:
            raise ValueError(f"a confusion matrix is square (K, K), got shape {array.shape}")
        if not _whole(array):
            raise ValueError("a confusion matrix counts samples: expected whole numbers")
        if (array < 0).any():
            raise ValueError("a confusion matrix counts samples: expected no negative number")
        self.counts: IntArray = array.astype(np.int64)

    @classmethod
    def zeros(cls, nb_classes: int) -> ConfusionMatrix:
        """An empty matrix for ``nb_classes`` classes."""
        return cls(np.zeros((nb_classes, nb_classes), dtype=np.int64))

    @classmethod
    def of(cls, labels: npt.ArrayLike, predictions: npt.ArrayLike, *, nb_classes: int) -> ConfusionMatrix:
        """Count labels against predictions, both (n,) integers in [0, ``nb_classes``)."""
        return cls.zeros(nb_classes).update(labels, predictions)

    def update(self, labels: npt.ArrayLike, predictions: npt.ArrayLike) -> ConfusionMatrix:
        """Add samples.

        Args:
            labels: (n,) true classes.
            predictions: (n,) predicted classes.

        Returns:
            Itself.

        Raises:
            ValueError: lengths differ, or a class is outside [0, K).
        """
        true, guess = np.asarray(labels), np.asarray(predictions)
        if true.ndim != 1 or true.shape != guess.shape:
            raise ValueError(f"expected labels and predictions of one shape (n,), got {true.shape} and {guess.shape}")
        for name, values in (("label", true), ("prediction", guess)):
            if len(values) and not _whole(values):
                raise ValueError(f"expected every {name} to be a whole number, got dtype {values.dtype} with other values")
            if len(values) and (values.min() < 0 or values.max() >= self.nb_classes):
                raise ValueError(f"expected every {name} in [0, {self.nb_classes}), got {values.min()} to {values.max()}")
        size = self.nb_classes
        pairs = true.astype(np.int64) * size + guess.astype(np.int64)
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)
        return self

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """The matrix of both sets of samples together."""
        if self.nb_classes != other.nb_classes:
            raise ValueError(f"cannot add matrices of {self.nb_classes} and {other.nb_classes} classes")
        return ConfusionMatrix(self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        """Whether the counts are the same."""
        return isinstance(other, ConfusionMatrix) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # it can be updated in place

    def __repr__(self) -> str:
        worst = self.worst_class_accuracy()
        return f"ConfusionMatrix(K={self.nb_classes}, n={self.total}, accuracy={self.accuracy:.4f}, worst={worst:.4f})"

    def _repr_html_(self) -> str:
        """A table for notebooks: counts, true classes down, predictions across, and the accuracy of each class."""
        heads = ["true class", *(f"as {k}" for k in range(self.nb_classes)), "accuracy"]
        rows = [
            [str(k), *map(str, row), "-" if math.isnan(share) else f"{share:.1%}"]
            for k, (row, share) in enumerate(zip(self.counts, self.class_accuracy, strict=True))
        ]
        return html_table(heads, rows, title=f"{self.total} samples, {self.accuracy:.1%} right")

    @property
    def nb_classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.counts.sum())

    @property
    def support(self) -> IntArray:
        """(K,) samples of each true class."""
        support: IntArray = self.counts.sum(axis=1)
        return support

    @property
    def accuracy(self) -> float:
        """Share of all samples predicted right; NaN when empty."""
        return accuracy(self.counts)

    @property
    def class_accuracy(self) -> FloatArray:
        """(K,) recall of each class, NaN where the class is absent."""
        return class_accuracy(self.counts)

    @property
    def one_vs_rest_accuracy(self) -> FloatArray:
        """(K,) one-vs-rest accuracy, the form printed as Eq. 7 of FAIR-TAT."""
        return one_vs_rest_accuracy(self.counts)

    @property
    def cfps(self) -> FloatArray:
        """(K,) class false positive score, summing to 1 (FAIR-TAT, Eq. 8)."""
        return class_false_positive_score(self.counts)

    @property
    def cfns(self) -> FloatArray:
        """(K,) class false negative score, summing to 1."""
        return class_false_negative_score(self.counts)

    @property
    def worst_class(self) -> int:
        """Index of the class with the lowest accuracy.

        Raises:
            ValueError: the matrix is empty.
        """
        if not self.total:
            raise ValueError("an empty confusion matrix has no worst class")
        return int(np.nanargmin(self.class_accuracy))

    def worst_class_accuracy(self, fraction: float | None = None) -> float:
        """Accuracy of the worst class, or mean over the worst share; see :func:`worst_class_accuracy`."""
        return worst_class_accuracy(self.counts, fraction)

    def normalised(self) -> FloatArray:
        """(K, K) share of true class i predicted as j; NaN rows for absent classes."""
        with np.errstate(invalid="ignore"):
            shares: FloatArray = self.counts / self.support[:, None].astype(np.float64)
        return shares

    def to_list(self) -> list[list[int]]:
        """Plain nested lists, for JSON."""
        rows: list[list[int]] = self.counts.tolist()
        return rows
