"""Training on interval bounds: the loss of the worst logits that any input in the ball can have."""

from __future__ import annotations

import math
import weakref
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from fairart.bounds import BoundedNetwork, Box, NoBoundsError
from fairart.errors import OptionError
from fairart.objectives.base import Batch, Examples, Objective
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["IBPObjective"]


class IBPObjective(Objective):
    """kappa CE(f(x), y) + (1 - kappa) CE(worst logits, y), the worst logits from interval bounds (Gowal et al., 2018, Eq. 12).

    The worst logits are the smallest that the label can have against the largest of every other class, anywhere in the L-inf
    ball and within the clip values, with the last layer folded into the differences. No attack runs. After a warm-up at eps 0,
    eps rises linearly to its full size and kappa falls linearly from 1. Batch-norm takes its statistics from the clean images.
    The "robust" statistics of training count samples that are certified at the eps of the moment.

    Args:
        kappa: weight of the clean cross-entropy at the end of the ramp.
        warm_up: share of the training before the ramp.
        ramp: share of the training over which eps and kappa move.
    """

    perturbs: ClassVar[bool] = False
    takes_targets: ClassVar[bool] = False
    norms: ClassVar[frozenset[float]] = frozenset({math.inf})

    def __init__(
        self,
        *,
        kappa: Annotated[float, Option("weight of the clean loss after the ramp", low=0, high=1, source="Gowal 0.5")] = 0.5,
        warm_up: Annotated[float, Option("share of the training at eps 0, before the ramp", low=0, high=1)] = 0.05,
        ramp: Annotated[float, Option("share of the training over which eps and kappa move", low=0, high=1)] = 0.5,
    ) -> None:
        self.kappa, self.warm_up, self.ramp = kappa, warm_up, ramp
        self._bounded: weakref.WeakKeyDictionary[nn.Module, BoundedNetwork] = weakref.WeakKeyDictionary()

    @property
    def uses_budget(self) -> bool:
        """It bounds the ball of eps, although nothing is attacked."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Without the traced networks, which are made again."""
        return {name: value for name, value in vars(self).items() if name != "_bounded"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With no traced network yet."""
        vars(self).update(state)
        self._bounded = weakref.WeakKeyDictionary()

    def risen(self, progress: float) -> float:
        """How much of the way eps and kappa have moved, in [0, 1].

        Args:
            progress: share of the training that is done, in [0, 1].
        """
        if progress < self.warm_up:
            return 0.0
        return 1.0 if self.ramp == 0 else min(1.0, (progress - self.warm_up) / self.ramp)

    def check(self, network: nn.Module) -> None:
        """Refuse a network with a layer that has no bounds, and preprocessing that is not by mean and standard deviation."""
        if not getattr(network, "is_monotone", True):
            raise OptionError("objective 'ibp' bounds preprocessing by mean and standard deviation alone, got another one")
        try:
            self._of(network)
        except NoBoundsError as error:
            raise OptionError(f"objective 'ibp' cannot bound this network: {error}") from error

    def examples(self, network: nn.Module, batch: Batch) -> Examples:
        """The clean inputs themselves."""
        return (batch.x,)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Clean and worst-case cross-entropy of each sample.

        Raises:
            NoBoundsError: a layer of the network has no interval bounds.
        """
        risen = self.risen(batch.progress)
        kappa = 1 + risen * (self.kappa - 1)
        margins, clean = self._of(network).margins(self._box(network, batch, risen), batch.y)
        assert clean is not None
        # The cross-entropy knows differences alone: the label's own logit is 0 here.
        worst = -margins
        loss = kappa * batch.classification(clean) + (1 - kappa) * batch.classification(worst)
        return LossTerms(natural=loss, adversarial_logits=worst, clean_logits=clean.detach())

    def _of(self, network: nn.Module) -> BoundedNetwork:
        module = getattr(network, "module", network)
        if module not in self._bounded:
            self._bounded[module] = BoundedNetwork(module)
        return self._bounded[module]

    def _box(self, network: nn.Module, batch: Batch, risen: float) -> Box:
        wide = (risen * batch.eps).view(-1, *[1] * (batch.x.ndim - 1)).to(batch.x.dtype)
        lower, upper = batch.x - wide, batch.x + wide
        if batch.clip_values is not None:
            low, high = batch.clip_values
            lower, upper = torch.clamp(lower, min=low).minimum(batch.x), torch.clamp(upper, max=high).maximum(batch.x)
        preprocessed = getattr(network, "preprocessed", _as_it_is)
        return Box(preprocessed(lower), preprocessed(upper), preprocessed(batch.x))


def _as_it_is(x: Tensor) -> Tensor:
    return x
