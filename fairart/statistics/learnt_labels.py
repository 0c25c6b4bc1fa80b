"""Which noisy labels a network has learnt: for every wrong training label, does it predict that label or the original one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.statistics.by_value import ComparedByValue

__all__ = ["LearntLabels", "learnt_labels"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntLabels(ComparedByValue):
    """Counts of training samples by original class, given class, and what the network predicts.

    Args:
        given: (K, K) samples by original class (rows) and given class (columns); the diagonal has the unchanged labels.
        learnt: (K, K) of these, those that are predicted as given.
        original: (K, K) of these, those that are predicted as the original class.
    """

    given: IntArray
    learnt: IntArray
    original: IntArray

    @property
    def noisy(self) -> IntArray:
        """(K,) wrong labels among the samples of each original class."""
        return _off_diagonal(self.given, 1)

    @property
    def noisy_learnt(self) -> IntArray:
        """(K,) wrong labels that were learnt, by original class."""
        return _off_diagonal(self.learnt, 1)

    @property
    def noisy_resisted(self) -> IntArray:
        """(K,) wrong labels in spite of which the original class is predicted, by original class."""
        return _off_diagonal(self.original, 1)

    def by_class(self, names: tuple[str, ...]) -> list[dict[str, Any]]:
        """A row for each class, of plain numbers.

        Args:
            names: (K,) of the classes.

        Returns:
            ``class``; samples of that original class with a wrong label (``noisy``), and how many of them are predicted as given
            (``learnt``), as the original class (``original``) or as another one (``other``); samples of that original class with
            an unchanged label and how many of them are right (``unchanged``, ``unchanged_right``); samples that were wrongly
            given this class, and how many of them are predicted so (``given``, ``given_learnt``).
        """
        noisy, learnt, original = self.noisy, self.noisy_learnt, self.noisy_resisted
        unchanged, right = np.diag(self.given), np.diag(self.learnt)
        given, given_learnt = _off_diagonal(self.given, 0), _off_diagonal(self.learnt, 0)
        return [
            {
                "class": name,
                "noisy": int(noisy[k]),
                "learnt": int(learnt[k]),
                "original": int(original[k]),
                "other": int(noisy[k] - learnt[k] - original[k]),
                "unchanged": int(unchanged[k]),
                "unchanged_right": int(right[k]),
                "given": int(given[k]),
                "given_learnt": int(given_learnt[k]),
            }
            for k, name in enumerate(names)
        ]


def learnt_labels(original: IntArray, given: IntArray, predictions: IntArray, nb_classes: int) -> LearntLabels:
    """Count which given labels a network predicts on the training samples.

    Args:
        original: (n,) labels before the noise.
        given: (n,) labels that were trained on.
        predictions: (n,) classes that the network predicts.
        nb_classes: K.

    Raises:
        ValueError: another number of labels than of predictions, or a class outside [0, K).
    """
    columns = {"original": original, "given": given, "predictions": predictions}
    for name, column in columns.items():
        if column.shape != original.shape or column.ndim != 1:
            raise ValueError(f"{name} must have the shape {original.shape} of the original labels, got {column.shape}")
        if len(column) and (column.min() < 0 or column.max() >= nb_classes):
            raise ValueError(f"{name} must lie in [0, {nb_classes}), got {column.min()} to {column.max()}")
    cell = original * nb_classes + given
    counted = (
        np.bincount(cell[rows], minlength=nb_classes**2).reshape(nb_classes, nb_classes).astype(np.int64)
        for rows in (np.ones(len(cell), dtype=bool), predictions == given, predictions == original)
    )
    return LearntLabels(**dict(zip(("given", "learnt", "original"), counted, strict=True)))


def _off_diagonal(counts: IntArray, axis: int) -> IntArray:
    sums: IntArray = counts.sum(axis=axis) - np.diag(counts)
    return sums
