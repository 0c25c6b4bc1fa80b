"""Group DRO with the classes as groups: multiplicative weights, updated in every batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.class_weightings.class_means import class_means, weighted_class_means
from fairart.statistics import EpochStatistics

__all__ = ["GroupDROWeighting"]


class GroupDROWeighting(ClassWeighting):
    """Group DRO: q_k <- q_k exp(eta m_k), renormalised, in every batch; the loss is sum_k q_k m_k (Sagawa et al., ICLR 2020).

    m_k is the mean loss of class k in the batch. A class that is not in the batch keeps its q, and the loss is divided by the
    q of those that are, so that a batch of few classes is not worth less (ours; the program adds zeros). ``current`` holds K q.

    Args:
        eta: step of the multiplicative weights, >= 0.
    """

    # On the class: a subclass whose __init__ does not call this one has them too.
    _logarithms: Tensor | None = None

    def __init__(self, *, eta: Annotated[float, Option("step of the weights", low=0, source="group DRO 0.01")] = 0.01) -> None:
        super().__init__()
        self.eta = eta

    def start(self, nb_classes: int) -> None:
        """Begin with equal weights, unless there are some for that many classes."""
        super().start(nb_classes)
        if self._logarithms is None or len(self._logarithms) != nb_classes:
            self._logarithms = torch.zeros(nb_classes, dtype=torch.float64)

    def _on(self, device: torch.device) -> Tensor:
        if self._logarithms is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        self._logarithms = self._logarithms.to(device)
        return self._logarithms

    def _stepped(self, terms: LossTerms, labels: Tensor) -> tuple[Tensor, Tensor]:
        means, counts = class_means(terms.total(), labels, terms.adversarial_logits.shape[1], all_reduce=self.all_reduce)
        # The means of absent classes are 0, so their weights move by the normalisation alone.
        return torch.log_softmax(self._on(labels.device) + self.eta * means.double(), dim=0), counts

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Sum over the classes of q_k times their mean loss, with q after this batch's step, a scalar."""
        logarithms, counts = self._stepped(terms, labels)
        weights = logarithms.exp() * (counts > 0)
        return weighted_class_means(terms.total(), labels, weights / weights.sum(), counts)

    def batch_end(self, terms: LossTerms, labels: Tensor) -> None:
        """Keep the step that :meth:`combine` took: once a batch, however often the loss was computed."""
        self._logarithms, _ = self._stepped(terms, labels)

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) K q, as the last batch left it."""
        if self._logarithms is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        shares: FloatArray = torch.softmax(self._logarithms, dim=0).cpu().numpy()
        # A weight may underflow; the plan shows it, the logarithm keeps it.
        return np.asarray(len(shares) * shares)

    def state_dict(self) -> dict[str, Any]:
        """The plan, and the logarithms of the weights."""
        return {**super().state_dict(), "logarithms": None if self._logarithms is None else self._logarithms.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        kept = state["logarithms"]
        self._logarithms = None if kept is None else torch.tensor(kept, dtype=torch.float64)
