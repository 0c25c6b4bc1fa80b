"""Class-wise statistics: everything follows from one confusion matrix with rows true, columns predicted.

Pure functions of a (K, K) array of counts, and :class:`ConfusionMatrix` as a thin class over them. K is fixed; a class
without samples is NaN in every per-class rate and has count 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.notebooks import html_table

__all__ = [
    "ComparedByValue",
    "ConfusionMatrix",
    "EpochStatistics",
    "ValidationStatistics",
    "accuracy",
    "class_accuracy",
    "class_false_negative_score",
    "class_false_positive_score",
    "one_vs_rest_accuracy",
    "worst_class_accuracy",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def accuracy(counts: IntArray) -> float:
    """Share of all samples on the diagonal; NaN when there is none.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    total = counts.sum()
    return float(np.trace(counts) / total) if total else math.nan


def class_accuracy(counts: IntArray) -> FloatArray:
    """Recall of each class, (K,) in [0, 1]: correct samples of class k / samples of class k.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    support = counts.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates: FloatArray = np.where(support > 0, np.diag(counts) / support, np.nan)
    return rates


def one_vs_rest_accuracy(counts: IntArray) -> FloatArray:
    """One-vs-rest accuracy of each class, (K,): (TP + TN) / all samples (FAIR-TAT, Eq. 7 as printed).

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    total = counts.sum()
    if not total:
        return np.full(len(counts), np.nan)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    rates: FloatArray = 1.0 - wrong / total
    return np.where(counts.sum(axis=1) > 0, rates, np.nan)


def _errors(counts: IntArray) -> IntArray:
    errors: IntArray = counts.copy()
    np.fill_diagonal(errors, 0)
    return errors


def class_false_positive_score(counts: IntArray) -> FloatArray:
    """CFPS, (K,): samples of other classes predicted as k / all misclassified samples (FAIR-TAT, Eq. 8).

    Sums to 1; uniform 1 / K when nothing is misclassified.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    return _shares(_errors(counts).sum(axis=0))


def class_false_negative_score(counts: IntArray) -> FloatArray:
    """CFNS, (K,): misclassified samples of class k / all misclassified samples; uniform when there is none.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
    """
    return _shares(_errors(counts).sum(axis=1))


def _whole(values: npt.NDArray[Any]) -> bool:
    """Whether numbers are whole and finite, whatever their type."""
    if values.dtype.kind in "biu":
        return True
    return values.dtype.kind == "f" and bool(np.isfinite(values).all() and np.array_equal(values, np.floor(values)))


def _shares(parts: IntArray) -> FloatArray:
    total = parts.sum()
    shares: FloatArray = parts / total if total else np.full(len(parts), 1.0 / len(parts))
    return shares


def worst_class_accuracy(counts: IntArray, fraction: float | None = None) -> float:
    """Accuracy of the worst class, or the mean over the worst share of the classes.

    Args:
        counts: (K, K) counts, rows true, columns predicted.
        fraction: None for the single worst class; 0.1 for the mean over the worst tenth (the CIFAR-100 protocol), at least
            one class. In (0, 1].

    Returns:
        Accuracy in [0, 1], absent classes left out; NaN when there is no sample at all.

    Raises:
        ValueError: ``fraction`` outside (0, 1].
    """
    rates = class_accuracy(counts)
    present = np.sort(rates[~np.isnan(rates)])
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction!r}")
    if not len(present):
        return math.nan
    # Rounding up keeps a tenth of 10 classes at one class and of 15 at two; the slack forgives 0.1 * 30 > 3 in floats.
    number = 1 if fraction is None else max(1, math.ceil(fraction * len(present) - 1e-9))
    return float(present[:number].mean())


def _array(value: Any) -> Any:
    # A tensor, without importing torch.
    return np.asarray(value.detach().cpu()) if hasattr(value, "detach") else value


def _same(one: Any, other: Any) -> bool:
    one, other = _array(one), _array(other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        first, second = np.asarray(one), np.asarray(other)
        floats = first.dtype.kind == second.dtype.kind == "f"
        return np.array_equal(first, second, equal_nan=floats)
    return bool(one == other) or (one != one and other != other)


class ComparedByValue:
    """Equality of records that hold arrays or tensors: every field has the same value, NaN equal to NaN.

    For dataclasses with ``eq=False``: the equality they would get compares arrays, whose truth value is ambiguous.
    """

    def __eq__(self, other: object) -> bool:
        """Whether both are of one class and have the same values."""
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]  # arrays cannot be hashed


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


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidationStatistics(ComparedByValue):
    """What one pass over the validation data measured, in eval mode.

    Args:
        clean: clean predictions.
        robust: predictions under attack.
        natural_loss: (K,) mean cross-entropy of each class on clean data; None unless a policy asked.
        boundary_loss: (K,) mean KL between adversarial and clean predictions; None unless a policy asked.
    """

    clean: ConfusionMatrix
    robust: ConfusionMatrix
    natural_loss: FloatArray | None = None
    boundary_loss: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochStatistics(ComparedByValue):
    """What one epoch measured; policies read it between epochs.

    Args:
        epoch: number of the epoch that ended, from 0.
        robust: predictions on the batches that were trained on, the logits of the training step itself.
        nb_epochs: length of the whole run, so that a policy can start after a share of it.
        clean: predictions on the clean training batches; None unless a policy or ``clean_statistics`` asks for them.
        validation: the validation pass; None unless a policy asked or validation data was given.
        mean_probabilities: (K, K) mean softmax output over class i's training samples; None unless a policy asked.
    """

    epoch: int
    robust: ConfusionMatrix
    nb_epochs: int = 0
    clean: ConfusionMatrix | None = None
    validation: ValidationStatistics | None = None
    mean_probabilities: FloatArray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        plain: dict[str, Any] = {"epoch": self.epoch, "robust": self.robust.to_list()}
        if self.clean is not None:
            plain["clean"] = self.clean.to_list()
        if self.validation is not None:
            plain["validation_clean"] = self.validation.clean.to_list()
            plain["validation_robust"] = self.validation.robust.to_list()
        return plain
