"""The same weight for every class."""

from __future__ import annotations

from torch import Tensor

from fairart.policies.class_weightings.base import ClassWeighting, LossTerms

__all__ = ["UniformWeighting"]


class UniformWeighting(ClassWeighting):
    """Every class counts alike."""

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """The plain mean, without a table look-up."""
        return terms.total().mean()
