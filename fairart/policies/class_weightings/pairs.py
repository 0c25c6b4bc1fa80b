"""Weights of pairs of classes, (predicted, true): the base of weightings that look at how a sample is mistaken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.policies.base import FloatArray, ask, checked
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.statistics import ConfusionMatrix

__all__ = ["PairWeighting"]


class PairWeighting(ClassWeighting):
    """Adds a cross-entropy of the adversarial examples that is weighed by (predicted, true) class; subclasses write
    :meth:`pair_weights`.

    Loss of a batch: mean of (1 - share) * natural + beta * boundary + extra + share * G[predicted, true] * CE(f(x'), y), with
    the class predicted for the adversarial example. ``current`` stays 1 for every class. Before every epoch a pass over the
    training data under attack says how often each class is taken for each other.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"training_pass", "class_counts"})
    takes_soft_labels: ClassVar[bool] = False
    # On the class: a subclass whose __init__ does not call this one has them too.
    share: float = 0.3
    """Share of the weighed cross-entropy, in [0, 1]."""
    pairs: FloatArray | None = None
    """(K, K) weights in force, rows predicted, columns true."""
    _pairs_on: Tensor | None = None

    def start(self, nb_classes: int) -> None:
        """Begin with weights of 1, unless there are weights for that many classes already."""
        super().start(nb_classes)
        if self.pairs is None or len(self.pairs) != nb_classes:
            self._set(np.ones((nb_classes, nb_classes)))

    def pair_weights(self, training: ConfusionMatrix) -> Any:
        """The next epoch's weight of each pair.

        Args:
            training: see :meth:`before_epoch`; rows true, columns predicted.

        Returns:
            (K, K) weights >= 0, rows predicted, columns true.
        """
        raise NotImplementedError

    def before_epoch(self, training: ConfusionMatrix) -> None:
        """Plan the epoch.

        Raises:
            PolicyError: :meth:`pair_weights` raised or broke its rules.
        """
        size = training.nb_classes
        answer = ask(self, "pair_weights", self.pair_weights, training)
        self._set(checked(self, "pair_weights", answer, ((size, size),)))

    def _set(self, pairs: FloatArray) -> None:
        self.pairs, self._pairs_on = pairs, None

    def per_pair(self, predicted: Tensor, labels: Tensor, like: Tensor) -> Tensor:
        """The weights of a batch's samples, (n,), in the precision of ``like``.

        Args:
            predicted: (n,) predicted classes.
            labels: (n,) true classes.
            like: gives device and type.
        """
        if self.pairs is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        table = self._pairs_on
        if table is None or table.device != like.device or table.dtype != like.dtype:
            table = self._pairs_on = torch.as_tensor(self.pairs, dtype=like.dtype, device=like.device)
        return table[predicted, labels]

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """Mean of (1 - share) natural + beta boundary + extra + share G[predicted, true] CE(f(x'), y), a scalar."""
        logits = terms.adversarial_logits
        losses = F.cross_entropy(logits, labels, reduction="none") if terms.adversarial is None else terms.adversarial
        weighed = self.per_pair(logits.detach().argmax(dim=1), labels, losses) * losses
        rest = terms.total() - self.share * terms.natural
        return (rest + self.share * weighed).mean()

    def state_dict(self) -> dict[str, Any]:
        """The weights in force."""
        return {**super().state_dict(), "pairs": None if self.pairs is None else self.pairs.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        self.pairs = None if state["pairs"] is None else np.array(state["pairs"], dtype=np.float64)
        self._pairs_on = None
