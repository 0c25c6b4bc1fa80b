"""The base class of epsilon schedulers: the perturbation budget of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairart.policies.base import FloatArray, Policy, ask, checked
from fairart.statistics import EpochStatistics

__all__ = ["EpsilonScheduler"]


class EpsilonScheduler(Policy):
    """Plans a budget for each class; subclasses write :meth:`epsilons`, and :meth:`steps` where the step moves too.

    The first epoch uses the base budget for every class.
    """

    # On the class: a subclass whose __init__ does not call this one has them too.
    base: float = 0.0
    base_step: float = 0.0
    current: FloatArray | None = None
    current_step: FloatArray | None = None

    def start(self, nb_classes: int, base: float, base_step: float) -> None:
        """Begin a run with the base budget, unless a plan for these classes and this budget is there already.

        Args:
            nb_classes: K.
            base: eps, in the classifier's input space.
            base_step: the attack's step.
        """
        same = (self.nb_classes, self.base, self.base_step) == (nb_classes, float(base), float(base_step))
        self.nb_classes, self.base, self.base_step = nb_classes, float(base), float(base_step)
        if self.current is None or not same:
            self.current = np.full(nb_classes, self.base)
            self.current_step = np.full(nb_classes, self.base_step)

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        """The next epoch's budget of each class.

        Args:
            base: the trainer's eps.
            statistics: of the epoch that ended; an absent class has NaN accuracy.

        Returns:
            (K,) budgets >= 0.
        """
        raise NotImplementedError

    def steps(self, base_step: float, epsilons: FloatArray) -> Any:
        """The next epoch's attack step of each class, (K,): the trainer's step unless a method moves it.

        Args:
            base_step: the trainer's eps_step.
            epsilons: (K,) what :meth:`epsilons` gave.
        """
        return np.full(len(epsilons), base_step)

    def update(self, statistics: EpochStatistics) -> None:
        """Plan the next epoch.

        Raises:
            PolicyError: :meth:`epsilons` or :meth:`steps` raised or broke its rules.
        """
        shape = ((statistics.robust.nb_classes,),)
        answer = ask(self, "epsilons", self.epsilons, self.base, statistics)
        self.current = checked(self, "epsilons", answer, shape)
        steps = ask(self, "steps", self.steps, self.base_step, self.current.copy())
        self.current_step = checked(self, "steps", steps, shape)

    def state_dict(self) -> dict[str, Any]:
        """The plan in force, and the budget it belongs to."""
        plans = {"current": self.current, "current_step": self.current_step}
        return {
            "nb_classes": self.nb_classes,
            "base": self.base,
            "base_step": self.base_step,
            **{name: None if plan is None else plan.tolist() for name, plan in plans.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the plan back."""
        self.nb_classes, self.base, self.base_step = state["nb_classes"], state["base"], state["base_step"]
        self.current, self.current_step = (
            None if state[name] is None else np.array(state[name], dtype=np.float64) for name in ("current", "current_step")
        )
