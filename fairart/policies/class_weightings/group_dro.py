"""Group DRO over classes, groups of the samples, or classes within groups: multiplicative weights, updated in every batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

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

    m_k is the mean loss of cell k in the batch. Cells are the classes; where ``fit`` was given groups, those, or the classes
    within each group (the paper's form, ``by="class-in-group"``). A cell that is not in the batch keeps its q, and the loss is
    divided by the q of those that are, so that a batch of few cells is not worth less (ours; the program adds zeros).
    ``current`` holds K q where cells are classes, else ones.

    Args:
        eta: step of the multiplicative weights, >= 0.
        by: what a cell is where there are groups.
    """

    takes_groups: ClassVar[bool] = True
    looks_across_batch: ClassVar[bool] = True

    # On the class: a subclass whose __init__ does not call this one has them too.
    by: str = "group"
    _logarithms: Tensor | None = None
    _cells: tuple[str, ...] | None = None

    def __init__(
        self,
        *,
        eta: Annotated[float, Option("step of the weights", low=0, source="group DRO 0.01")] = 0.01,
        by: Annotated[
            Literal["group", "class-in-group"],
            Option("what is weighed where there are groups of the samples: those, or each class within them"),
        ] = "group",
    ) -> None:
        super().__init__()
        self.eta, self.by = eta, by

    def start(self, nb_classes: int) -> None:
        """Begin with equal weights, unless there are some for the same cells."""
        super().start(nb_classes)
        cells, number = self._names(nb_classes), nb_classes
        if cells is not None:
            number = len(cells)
        if self._logarithms is None or len(self._logarithms) != number or self._cells != cells:
            self._logarithms, self._cells = torch.zeros(number, dtype=torch.float64), cells

    def _names(self, nb_classes: int) -> tuple[str, ...] | None:
        """Names of the cells; None where they are the classes."""
        if self.groups is None or self.by == "group":
            return None if self.groups is None else self.groups.names
        return tuple(f"{group} / {label}" for group in self.groups.names for label in range(nb_classes))

    def _on(self, device: torch.device) -> Tensor:
        if self._logarithms is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        self._logarithms = self._logarithms.to(device)
        return self._logarithms

    def _cell_of(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """(n,) cell of each sample."""
        if self._cells is None:
            return labels
        if terms.groups is None:
            raise PolicyError(f"{origin(self)}: it was started with groups, and the batch has none")
        return terms.groups if self.by == "group" else terms.groups * self.nb_classes + labels

    def _stepped(self, terms: LossTerms, cells: Tensor) -> tuple[Tensor, Tensor]:
        before = self._on(cells.device)
        means, counts = class_means(terms.total(), cells, len(before), all_reduce=self.all_reduce)
        # The means of absent cells are 0, so their weights move by the normalisation alone.
        return torch.log_softmax(before + self.eta * means.double(), dim=0), counts

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Sum over the cells of q_k times their mean loss, with q after this batch's step, a scalar."""
        cells = self._cell_of(terms, labels)
        logarithms, counts = self._stepped(terms, cells)
        weights = logarithms.exp() * (counts > 0)
        return weighted_class_means(terms.total(), cells, weights / weights.sum(), counts)

    def batch_end(self, terms: LossTerms, labels: Tensor) -> None:
        """Keep the step that :meth:`combine` took: once a batch, however often the loss was computed."""
        self._logarithms, _ = self._stepped(terms, self._cell_of(terms, labels))

    def weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) K q, as the last batch left it; ones where cells are not the classes."""
        shares = self._shares()
        return shares if self._cells is None else np.ones(self.nb_classes)

    def _shares(self) -> FloatArray:
        if self._logarithms is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        shares: FloatArray = torch.softmax(self._logarithms, dim=0).cpu().numpy()
        # A weight may underflow; the plan shows it, the logarithm keeps it.
        return np.asarray(len(shares) * shares)

    def group_weights(self) -> dict[str, float] | None:
        """The weight of each group, or of each class within a group, mean 1; None where cells are the classes."""
        return None if self._cells is None else dict(zip(self._cells, self._shares().tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The plan, the logarithms of the weights, and what they are of."""
        kept = None if self._logarithms is None else self._logarithms.tolist()
        return {**super().state_dict(), "logarithms": kept, "cells": None if self._cells is None else list(self._cells)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        kept, cells = state["logarithms"], state.get("cells")
        self._logarithms = None if kept is None else torch.tensor(kept, dtype=torch.float64)
        self._cells = None if cells is None else tuple(cells)
