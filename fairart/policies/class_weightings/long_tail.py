"""Class weights by the number of training samples: inverse frequency and effective number."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting
from fairart.statistics import EpochStatistics

__all__ = ["EffectiveNumberWeighting", "InverseFrequencyWeighting", "effective_number_weights", "inverse_frequency_weights"]


def _mean_one(weights: FloatArray, counts: FloatArray) -> FloatArray:
    """Weights whose mean over the classes with samples is 1; those without have none."""
    there = counts > 0
    scaled: FloatArray = np.where(there, weights, 0.0)
    scaled *= there.sum() / scaled.sum()
    return scaled


def inverse_frequency_weights(counts: FloatArray) -> FloatArray:
    """(K,) weights proportional to 1 / n_k, of mean 1 over the classes with samples.

    Args:
        counts: (K,) training samples, at least one class with some.
    """
    return _mean_one(1.0 / np.maximum(counts, 1.0), counts)


def effective_number_weights(counts: FloatArray, beta: float) -> FloatArray:
    """(K,) weights proportional to (1 - beta) / (1 - beta^n_k), of mean 1 over the classes with samples (Cui et al., CVPR 2019).

    Args:
        counts: (K,) training samples, at least one class with some.
        beta: in [0, 1).
    """
    return _mean_one((1.0 - beta) / (1.0 - beta ** np.maximum(counts, 1.0)), counts)


class InverseFrequencyWeighting(ClassWeighting):
    """w_k proportional to 1 / n_k, mean 1, with n_k the training samples of class k."""

    needs: ClassVar[frozenset[str]] = frozenset({"class_counts"})

    def planned(self, counts: FloatArray) -> FloatArray:
        """(K,) weights.

        Args:
            counts: (K,) training samples.
        """
        return inverse_frequency_weights(counts)

    def start(self, nb_classes: int) -> None:
        """Take the weights from the class counts.

        Raises:
            PolicyError: nobody has counted the classes.
        """
        super().start(nb_classes)
        self.current, self._table = self.planned(self._counts()), None

    def _counts(self) -> FloatArray:
        if self.class_counts is None:
            raise PolicyError(f"{origin(self)} needs the number of training samples of each class")
        return self.class_counts.astype(np.float64)

    def weights(self, statistics: EpochStatistics) -> Any:
        """(K,) the same weights in every epoch."""
        return self.planned(self._counts())


class EffectiveNumberWeighting(InverseFrequencyWeighting):
    """w_k proportional to (1 - beta) / (1 - beta^n_k), mean 1 (class-balanced loss, Cui et al., CVPR 2019, Eq. 2).

    Args:
        beta: 0 weighs all classes alike, towards 1 it is the inverse frequency.
    """

    def __init__(
        self,
        *,
        beta: Annotated[
            float, Option("towards 1: inverse frequency", low=0, high=1, high_open=True, source="Cui et al.")
        ] = 0.9999,
    ) -> None:
        super().__init__()
        self.beta = beta

    def planned(self, counts: FloatArray) -> FloatArray:
        """(K,) weights."""
        return effective_number_weights(counts, self.beta)
