"""Weight perturbations: the loss is taken at weights moved by an adversary, the step at the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from fairart.policies.base import Policy

__all__ = ["WeightPerturbation"]


class WeightPerturbation(Policy):
    """Moves the weights while a batch's gradient is computed; subclasses write :meth:`perturbed`.

    The engine computes loss and gradient inside ``with perturbed(...)`` and steps the optimizer after it, so a perturbation wraps
    any objective instead of being a trainer of its own (AWP, Wu et al., NeurIPS 2020).
    """

    @contextlib.contextmanager
    def perturbed(self, module: nn.Module, loss: Callable[[], Tensor], *, epoch: int) -> Iterator[None]:
        """Move the weights for a while and put them back exactly.

        Args:
            module: the model, in train mode.
            loss: computes the batch's loss at the current weights, once a call.
            epoch: number of the epoch, from 0.
        """
        yield
