"""The base class of class weightings: how much each class counts in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.policies.base import FloatArray, Policy, ask, checked
from fairart.statistics import ComparedByValue, EpochStatistics, Groups

__all__ = ["ClassTable", "ClassWeighting", "LossTerms"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LossTerms(ComparedByValue):
    """A batch's loss, sample by sample, before any class weight.

    Args:
        natural: (n,) cross-entropy, on the clean inputs (TRADES, BAT) or the adversarial ones (AT, FAT).
        adversarial_logits: (n, K) logits that the statistics of training are read from.
        clean_logits: (n, K) logits of the clean inputs where the objective computes them anyway.
        boundary: (n,) regulariser before ``beta``; None where the objective has none.
        extra: (n,) further term with factor 1; None where the objective has none.
        beta: factor of ``boundary``.
        adversarial: (n,) cross-entropy of the adversarial examples where it is known already; None to compute it.
        extra_terms: how many losses ``extra`` is the sum of.
        groups: (n,) group of each sample, set by the engine where ``fit`` was given groups; else None.
    """

    natural: Tensor
    adversarial_logits: Tensor
    clean_logits: Tensor | None = None
    boundary: Tensor | None = None
    extra: Tensor | None = None
    beta: float = 0.0
    adversarial: Tensor | None = None
    extra_terms: int = 1
    groups: Tensor | None = None

    def total(self) -> Tensor:
        """(n,) natural + beta * boundary + extra."""
        total = self.natural
        if self.boundary is not None:
            total = total + self.beta * self.boundary
        return total if self.extra is None else total + self.extra


class ClassTable:
    """A number for each class, looked up by label on the labels' device.

    Args:
        values: (K,) the numbers.
    """

    def __init__(self, values: FloatArray) -> None:
        self._values = values
        self._table: Tensor | None = None

    def __call__(self, labels: Tensor, like: Tensor) -> Tensor:
        """The numbers of a batch's samples, (n,), in the precision of ``like``."""
        if self._table is None or self._table.device != labels.device or self._table.dtype != like.dtype:
            self._table = torch.as_tensor(self._values, dtype=like.dtype, device=labels.device)
        return self._table[labels]


class ClassWeighting(Policy):
    """Plans a weight for each class; subclasses write :meth:`weights`, or :meth:`combine` for losses of another form.

    The first epoch weights every class with 1.
    """

    needs_boundary: ClassVar[bool] = False
    """Whether :meth:`combine` works only on objectives that have a boundary term; others are then refused."""

    takes_soft_labels: ClassVar[bool] = True
    """Whether :meth:`combine` works on mixed samples (MixUp, CutMix), whose label is the one with the larger share; it is refused
    with them where not, as where it computes a loss from the labels itself."""

    looks_across_batch: ClassVar[bool] = False
    """Whether :meth:`combine` weighs a sample by others of its batch, through ``self.all_reduce``, and so is no mean of what each
    sample gives by itself. Gradient accumulation then gives it the losses of the whole batch."""

    takes_groups: ClassVar[bool] = False
    """Whether :meth:`combine` heeds ``terms.groups``; ``fit(groups=...)`` is refused where not, as they would go unused."""

    groups: Groups | None = None
    """The groups of the training samples, set before :meth:`start`; None where ``fit`` was given none."""

    # On the class: a subclass whose __init__ does not call this one has them too.
    current: FloatArray | None = None
    _table: ClassTable | None = None

    def start(self, nb_classes: int) -> None:
        """Begin a run with weights of 1, unless weights for that many classes are there already."""
        self.nb_classes = nb_classes
        if self.current is None or len(self.current) != nb_classes:
            self.current = np.ones(nb_classes)
            self._table = None

    def weights(self, statistics: EpochStatistics) -> Any:
        """The next epoch's weight of each class.

        Args:
            statistics: of the epoch that ended.

        Returns:
            (K,) weights >= 0, not all zero.
        """
        return np.ones(statistics.robust.nb_classes)

    def group_weights(self) -> dict[str, float] | None:
        """The weight of each group by its name, mean 1, for the history; None where groups are not weighed."""
        return None

    def update(self, statistics: EpochStatistics) -> None:
        """Plan the next epoch.

        Raises:
            PolicyError: :meth:`weights` raised or broke its rules.
        """
        answer = ask(self, "weights", self.weights, statistics)
        self.current = checked(self, "weights", answer, ((statistics.robust.nb_classes,),), positive=True)
        self._table = None

    def per_sample(self, labels: Tensor, like: Tensor) -> Tensor:
        """The weights of a batch's samples, (n,), in the precision of ``like``."""
        if self.current is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        if self._table is None:
            self._table = ClassTable(self.current)
        return self._table(labels, like)

    def boundary_of(self, terms: LossTerms) -> Tensor:
        """The boundary term of a batch, (n,), for weightings that cannot do without.

        Raises:
            PolicyError: the objective has none.
        """
        if terms.boundary is None:
            raise PolicyError(f"{origin(self)} needs an objective with a boundary term, such as trades or bat")
        return terms.boundary

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """The loss of a batch: mean of w_y * (natural + beta * boundary + extra), a scalar.

        Args:
            terms: the batch's losses, sample by sample.
            labels: (n,) true classes.
        """
        total = terms.total()
        return (self.per_sample(labels, total) * total).mean()

    def batch_end(self, terms: LossTerms, labels: Tensor) -> None:
        """Told after every batch, for weightings that learn within the epoch; nothing may be read from the device here.

        :meth:`combine` may run more than once a batch (AWP), this runs once. A process is told of its own part of the batch: sums
        go through ``self.all_reduce``.

        Args:
            terms: the batch's losses.
            labels: (n,) true classes.
        """

    def state_dict(self) -> dict[str, Any]:
        """The weights in force."""
        return {"current": None if self.current is None else self.current.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        self.current = None if state["current"] is None else np.array(state["current"], dtype=np.float64)
        self._table = None
