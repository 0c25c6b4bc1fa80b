"""The base class of class samplings: how often a batch draws from each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.policies.base import FloatArray, Policy, ask, checked
from fairart.statistics import EpochStatistics

__all__ = ["ClassSampling"]

ROUNDING = 1e-6
"""How far from 1 the sum of probabilities may lie."""


class ClassSampling(Policy):
    """Plans how often a batch draws from each class; subclasses write :meth:`probabilities`.

    For every place of a batch a class is drawn, with replacement, then a sample uniformly within that class. An epoch stays as
    many samples as the training set has. The first epoch draws every class alike. A class without training samples is never
    drawn; the probabilities of the others are rescaled.

    A sampling that learns within the epoch writes :meth:`batch_end` and :meth:`in_force` as well.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"class_counts"})
    permutes: ClassVar[bool] = False
    """Whether an epoch is every sample once in random order, and nothing is drawn."""

    # On the class: a subclass whose __init__ does not call this one has them too.
    current: FloatArray | None = None
    """(K,) probabilities with which the epoch begins; ``class_counts`` says which classes can be drawn."""
    _plan_on: Tensor | None = None
    _plan_of: FloatArray | None = None

    @property
    def present(self) -> Any:
        """(K,) bool, the classes that have training samples; all where nobody has counted."""
        return np.ones(self.nb_classes, dtype=bool) if self.class_counts is None else self.class_counts > 0

    def start(self, nb_classes: int) -> None:
        """Begin a run with the same probability for every class, unless a plan for these classes is there already.

        Args:
            nb_classes: K.
        """
        self.nb_classes = nb_classes
        present = self.present
        if self.current is None or not np.array_equal(self.current > 0, present):
            self.current = present / present.sum()

    def probabilities(self, statistics: EpochStatistics) -> Any:
        """How often to draw from each class in the next epoch.

        Args:
            statistics: of the epoch that ended; a class that was not drawn has NaN accuracy.

        Returns:
            (K,) probabilities that sum to 1, positive for every class that has training samples.
        """
        return self.current

    def update(self, statistics: EpochStatistics) -> None:
        """Plan the next epoch.

        Raises:
            PolicyError: :meth:`probabilities` raised or broke its rules.
        """
        answer = ask(self, "probabilities", self.probabilities, statistics)
        self.current = self.checked_plan(answer, statistics.robust.nb_classes)

    def checked_plan(self, answer: Any, nb_classes: int) -> FloatArray:
        """Check probabilities, and rescale them to the classes that have samples.

        Args:
            answer: what :meth:`probabilities` gave.
            nb_classes: K.

        Raises:
            PolicyError: a wrong shape, negative or not finite numbers, another sum than 1, or a class that is never drawn.
        """
        plan = checked(self, "probabilities", answer, ((nb_classes,),), positive=True)
        label = f"{origin(self)}: probabilities()"
        if abs(plan.sum() - 1) > ROUNDING:
            raise PolicyError(f"{label} must sum to 1, got {plan.sum():g}")
        present = self.present
        starved = np.flatnonzero(present & (plan <= 0))
        if len(starved):
            raise PolicyError(f"{label} must be positive for every class with training samples, got 0 for class {starved[0]}")
        kept: FloatArray = np.where(present, plan, 0.0)
        kept /= kept.sum()
        return kept

    def in_force(self, device: torch.device) -> Tensor:
        """(K,) float64 probabilities that the next batch is drawn with, on a device.

        Raises:
            PolicyError: before :meth:`start`.
        """
        if self.current is None:
            raise PolicyError(f"{origin(self)}: probabilities are asked for before start()")
        if self._plan_on is None or self._plan_on.device != device or self._plan_of is not self.current:
            self._plan_on, self._plan_of = torch.as_tensor(self.current, device=device), self.current
        return self._plan_on

    def batch_end(self, labels: Tensor, logits: Tensor) -> None:
        """Told after every batch, for samplings that learn within the epoch; nothing may be read from the device here.

        A process is told of its own part of the batch: sums go through ``self.all_reduce``.

        Args:
            labels: (n,) true classes.
            logits: (n, K) of the adversarial examples, detached.
        """

    def state_dict(self) -> dict[str, Any]:
        """The plan in force."""
        return {"current": None if self.current is None else self.current.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the plan back."""
        self.current = None if state["current"] is None else np.array(state["current"], dtype=np.float64)
