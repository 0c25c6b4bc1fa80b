"""Any ART EvasionAttack as the inner attack; slower, since it goes through numpy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.attacks import EvasionAttack
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_numpy import (
    ProjectedGradientDescentCommon,
)
from torch import Tensor

from fairart.engine.network import restored_modes
from fairart.objectives.base import Batch

__all__ = ["ArtInnerAttack"]

EPS_PER_SAMPLE = (ProjectedGradientDescent, ProjectedGradientDescentCommon, FastGradientMethod)
"""ART attacks that take an array of eps, one a sample."""

Array = npt.NDArray[Any]


class ArtInnerAttack:
    """Makes training examples with an ART attack on the classifier being trained.

    Budgets per class reach the attack if it has an ``eps``: as an array if it takes one, else class by class. Attacks inside it,
    such as those of ``AutoAttack``, get the same budgets. Steps stay the attack's own.

    Args:
        attack: an ART attack whose estimator is the classifier being trained.
        module: the classifier's model; its modes are put back after the attack, which ART leaves in eval mode.

    Raises:
        TypeError: no ``EvasionAttack``.
        ValueError: targets are wanted and the attack cannot aim.
    """

    def __init__(self, attack: EvasionAttack, module: torch.nn.Module, *, targets: bool) -> None:
        if not isinstance(attack, EvasionAttack):
            raise TypeError(f"attack must be an art.attacks.EvasionAttack, got {type(attack).__qualname__}")
        # Every ART attack has the attribute; only those that declare it can aim.
        self._can_aim = "targeted" in attack.attack_params
        if targets and not self._can_aim:
            raise ValueError(
                f"{type(attack).__name__} cannot aim at a class: expected an attack with a 'targeted' parameter, "
                "or target_sampler=None"
            )
        self.attack, self._module = attack, module
        self._inner = _inner_attacks(attack)

    @property
    def norm(self) -> float | str | None:
        """The norm that the attack measures its eps in, as ART writes it; None where the attack has no eps or names no norm.

        Attacks without an eps look for the smallest change, in a norm of their own; the budget holds what they find.
        """
        norm: float | str | None = getattr(self.attack, "norm", None)
        return norm if "eps" in self.attack.attack_params else None

    def examples(self, batch: Batch) -> Tensor:
        """Adversarial inputs for a batch, (n, ...), in the type and on the device of the clean ones."""
        x = batch.x.detach().cpu().numpy().astype(np.float32)
        y = batch.aims.detach().cpu().numpy()
        eps = batch.eps.detach().cpu().numpy().astype(np.float32)
        targeted = batch.targeted
        aimed = targeted.cpu().numpy() if isinstance(targeted, Tensor) else np.zeros(len(x), dtype=bool)
        x_adv = x.copy()
        with restored_modes(self._module), self._restored():
            for goal in np.unique(aimed):
                if self._can_aim:
                    self.attack.set_params(targeted=bool(goal))
                rows = np.flatnonzero(aimed == goal)
                x_adv[rows] = self._generate(x[rows], y[rows], eps[rows])
        return torch.as_tensor(x_adv).to(batch.x)

    def _generate(self, x: Array, y: Array, eps: Array) -> Array:
        one_hot = np.eye(self.attack.estimator.nb_classes, dtype=np.float32)[y]
        if "eps" not in self.attack.attack_params:
            return self._ask(x, one_hot)
        # ART's random start fails on an array of eps.
        if isinstance(self.attack, EPS_PER_SAMPLE) and not self.attack.num_random_init:
            spread = eps.reshape(-1, *[1] * (x.ndim - 1)) * np.ones_like(x)
            # ART wants step and radius in the same form.
            self.attack.set_params(eps=spread, eps_step=np.full_like(spread, self._step))
            return self._ask(x, one_hot)
        x_adv: Array = x.copy()
        for value in np.unique(eps[eps > 0]):
            rows = np.flatnonzero(eps == value)
            self.attack.set_params(eps=float(value), **({} if self._step is None else {"eps_step": self._step}))
            for part in self._inner:
                part.set_params(eps=float(value))
            x_adv[rows] = self._ask(x[rows], one_hot[rows])
        return x_adv

    def _ask(self, x: Array, y: Array) -> Array:
        made: Array = np.asarray(self.attack.generate(x=x, y=y))
        return made

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        before = [(attack, _params(attack)) for attack in (self.attack, *self._inner)]
        step = before[0][1].get("eps_step")
        self._step = None if step is None else float(np.max(step))
        try:
            yield
        finally:
            for attack, params in before:
                if params:
                    attack.set_params(**params)


def _params(attack: EvasionAttack) -> dict[str, Any]:
    names = ("eps", "eps_step", "targeted")
    return {name: getattr(attack, name) for name in names if name in attack.attack_params}


def _inner_attacks(attack: EvasionAttack) -> list[EvasionAttack]:
    """Attacks with a budget that an attack holds, at any depth: its attributes, and lists of them."""
    found: list[EvasionAttack] = []
    for value in vars(attack).values():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, EvasionAttack) and part is not attack:
                found += [*([part] if "eps" in part.attack_params else []), *_inner_attacks(part)]
    return found
