"""LDAM: larger margins for rarer classes, with deferred re-weighting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.long_tail import effective_number_weights
from fairart.policies.classification_losses.base import ClassificationLoss, cross_entropy
from fairart.statistics import EpochStatistics

__all__ = ["LDAMLoss", "ldam_margins"]


def ldam_margins(counts: FloatArray, largest: float) -> FloatArray:
    """(K,) margins proportional to n_k^(-1/4), the largest one given; a class without samples counts as one with one.

    Args:
        counts: (K,) training samples.
        largest: margin of the rarest class.
    """
    margins: FloatArray = np.maximum(counts, 1.0) ** -0.25
    margins *= largest / margins.max()
    return margins


class LDAMLoss(ClassificationLoss):
    """Cross-entropy of scale (z - m_y on the true logit), m_k ~ n_k^(-1/4) (LDAM, Cao et al., NeurIPS 2019, Eq. 13).

    DRW: in the last part of the run the loss of class k counts w_k times, with the effective-number weights (beta 0.9999).

    The paper's last layer gives cosines, for which a scale of 30 is made. On plain logits, as here, 30 makes steps 30 times
    larger at one learning rate: take a smaller scale, or a smaller learning rate.

    Args:
        scale: of the logits.
        max_margin: margin of the rarest class, before the scale.
        reweight_from: share of the run after which classes are re-weighted; 1 for never.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"class_counts"})
    takes_soft_labels: ClassVar[bool] = False
    # On the class: a subclass whose __init__ does not call this one has them too.
    active: bool = False
    _margins: Tensor | None = None
    _weights: Tensor | None = None

    def __init__(
        self,
        *,
        scale: Annotated[float, Option("scale of the logits", low=0, low_open=True, source="LDAM 30")] = 30.0,
        max_margin: Annotated[float, Option("margin of the rarest class, before the scale", low=0, source="LDAM 0.5")] = 0.5,
        reweight_from: Annotated[
            float,
            Option("share of the run after which classes are re-weighted; 1: never", low=0, high=1, source="LDAM-DRW 160 of 200"),
        ] = 0.8,
    ) -> None:
        self.scale, self.max_margin, self.reweight_from = scale, max_margin, reweight_from
        self.active = reweight_from == 0

    def start(self, nb_classes: int) -> None:
        """Take margins and weights from the class counts."""
        super().start(nb_classes)
        if self.class_counts is None:
            raise PolicyError(f"{origin(self)} needs the number of training samples of each class")
        counts = self.class_counts.astype(np.float64)
        self._margins = torch.as_tensor(ldam_margins(counts, self.max_margin))
        self._weights = torch.as_tensor(effective_number_weights(counts, 0.9999))

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy with the margin on the true logit, (n,)."""
        if self._margins is None or self._weights is None:
            raise PolicyError(f"{origin(self)}: losses() before start()")
        if self._margins.device != logits.device or self._margins.dtype != logits.dtype:
            self._margins, self._weights = self._margins.to(logits), self._weights.to(logits)
        shifted = logits.scatter_add(1, labels[:, None], -self._margins[labels][:, None])
        losses = cross_entropy(self.scale * shifted, labels, label_smoothing)
        return self._weights[labels] * losses if self.active else losses

    def update(self, statistics: EpochStatistics) -> None:
        """Begin to re-weight once its share of the run is over."""
        begin = self.reweight_from * statistics.nb_epochs
        self.active = self.active or (self.reweight_from < 1 and statistics.epoch + 1 >= begin - 1e-9)

    def state_dict(self) -> dict[str, Any]:
        """Whether it re-weights."""
        return {"active": self.active}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take that back."""
        self.active = bool(state["active"])
