"""Losses that know how often each class occurs: balanced softmax and logit adjustment."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.classification_losses.base import ClassificationLoss, cross_entropy

__all__ = ["BalancedSoftmaxLoss", "LogitAdjustedLoss", "log_prior"]


def log_prior(counts: FloatArray) -> FloatArray:
    """(K,) log of the share of each class; a class without samples counts as one with one sample.

    Args:
        counts: (K,) training samples.
    """
    there = np.maximum(counts, 1.0)
    shares: FloatArray = np.log(there / there.sum())
    return shares


class LogitAdjustedLoss(ClassificationLoss):
    """Cross-entropy of z + tau log pi, with pi the shares of the classes in training (Menon et al., ICLR 2021, Eq. 10).

    Rare classes must win by a margin in training, so that they do win in prediction, which uses z alone.

    Args:
        tau: strength, >= 0; 1 is consistent for the balanced error.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"class_counts"})
    # On the class: a subclass whose __init__ does not call this one has it too.
    tau: float = 1.0
    _shift: Tensor | None = None

    def __init__(
        self, *, tau: Annotated[float, Option("strength of the adjustment", low=0, source="Menon et al. 1")] = 1.0
    ) -> None:
        self.tau = tau

    def start(self, nb_classes: int) -> None:
        """Take the shares of the classes."""
        super().start(nb_classes)
        if self.class_counts is None:
            raise PolicyError(f"{origin(self)} needs the number of training samples of each class")
        self._shift = torch.as_tensor(self.tau * log_prior(self.class_counts.astype(np.float64)))

    def trained_logits(self, logits: Tensor) -> Tensor:
        """z + tau log pi, (n, K)."""
        if self._shift is None:
            raise PolicyError(f"{origin(self)}: losses() before start()")
        if self._shift.device != logits.device or self._shift.dtype != logits.dtype:
            self._shift = self._shift.to(logits)
        return logits + self._shift

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of the shifted logits, (n,)."""
        return cross_entropy(self.trained_logits(logits), labels, label_smoothing)


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    """Cross-entropy of z + log pi (Ren et al., NeurIPS 2020; over AT it is AT-BSL, Yue et al., CVPR 2024)."""

    def __init__(self) -> None:
        super().__init__(tau=1.0)
