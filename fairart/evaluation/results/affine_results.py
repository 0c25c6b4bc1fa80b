"""Accuracy against the degree of an affine change: rotation, scale, shear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["AffineResults", "affine_label"]

FloatArray = npt.NDArray[np.float64]
Cell = tuple[str, float]


def affine_label(family: str, degree: float) -> str:
    """The label of one result, such as ``"rotation/-30"``."""
    return f"{family}/{degree:g}"


class AffineResults(Mapping[Cell, AttackResult]):
    """Results by (family, degree), of the samples of the evaluation. Empty if none was evaluated.

    Args:
        results: (family, degree) -> result; the degrees of a family in ascending order.
    """

    def __init__(self, results: Mapping[Cell, AttackResult] | None = None) -> None:
        self._results = dict(results or {})
        self.families: tuple[str, ...] = tuple(dict.fromkeys(family for family, _ in self._results))

    def __getitem__(self, cell: Cell) -> AttackResult:
        """The result of one (family, degree)."""
        try:
            return self._results[cell]
        except (KeyError, TypeError):
            known = [affine_label(*key) for key in self._results]
            asked = affine_label(*cell) if isinstance(cell, tuple) and len(cell) == 2 else str(cell)
            raise KeyError(f"no result of {asked!r}; {did_you_mean(asked, known)}") from None

    def __iter__(self) -> Iterator[Cell]:
        """(family, degree), in the order in which they ran."""
        return iter(self._results)

    def __len__(self) -> int:
        """Number of results."""
        return len(self._results)

    def degrees(self, family: str) -> tuple[float, ...]:
        """The degrees of a family, ascending."""
        return tuple(degree for name, degree in self._results if name == family)

    def accuracy(self, family: str) -> FloatArray:
        """(D,) accuracy at each degree."""
        return np.array([self[family, degree].accuracy for degree in self.degrees(family)])

    def class_accuracy(self, family: str) -> FloatArray:
        """(K, D) accuracy of each class at each degree; NaN for an absent class."""
        return np.stack([self[family, degree].class_accuracy for degree in self.degrees(family)], axis=1)

    def worst_class_accuracy(self, family: str) -> FloatArray:
        """(D,) accuracy of each degree's own worst class."""
        return np.array([self[family, degree].worst_class_accuracy() for degree in self.degrees(family)])

    def area(self, family: str) -> FloatArray:
        """(K,) mean accuracy of each class over the range of degrees: the area under its curve, by trapezoids.

        A family with one degree has the accuracy there.
        """
        degrees, curves = np.array(self.degrees(family)), self.class_accuracy(family)
        if len(degrees) == 1:
            return np.asarray(curves[:, 0])
        widths = np.diff(degrees)
        found: FloatArray = ((curves[:, 1:] + curves[:, :-1]) / 2) @ widths / widths.sum()
        return found
