"""Adversarial weight perturbation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from fairart.plugins.options import Option
from fairart.policies.weight_perturbations.base import WeightPerturbation

__all__ = ["AdversarialWeightPerturbation"]

TINY = 1e-20
"""Keeps a layer without gradient from dividing by zero."""


class AdversarialWeightPerturbation(WeightPerturbation):
    """AWP: the gradient is taken at weights that one ascent step has made worse (Wu et al., NeurIPS 2020).

    Each weight of more than one dimension moves along its own gradient by gamma times its own norm. It costs one forward and one
    backward pass more a batch, over any objective and weighting.

    Paper and program: the direction comes from one SGD step of a copy of the model, whose learning rate cancels in the
    normalisation. Here: the gradient itself, without a copy; batch-norm statistics move once a batch, as without AWP.

    Args:
        gamma: size of the perturbation relative to each weight's norm (0.01 for AT, 0.005 for TRADES).
        warm_up: epochs without perturbation.
    """

    def __init__(
        self,
        *,
        gamma: Annotated[
            float, Option("size relative to each weight's norm", low=0, source="AWP 0.01 for AT, 0.005 for TRADES")
        ] = 0.01,
        warm_up: Annotated[int, Option("epochs without perturbation", low=0, source="AWP program")] = 0,
    ) -> None:
        self.gamma, self.warm_up = gamma, warm_up

    @contextlib.contextmanager
    def perturbed(self, module: nn.Module, loss: Callable[[], Tensor], *, epoch: int) -> Iterator[None]:
        """Move the weights while a gradient is taken, and put them back bit for bit.

        Args:
            module: the model, in train mode.
            loss: computes the batch's loss at the current weights.
            epoch: number of the epoch, from 0.
        """
        weights = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
        if epoch < self.warm_up or not weights:
            yield
            return
        before = [weight.detach().clone() for weight in weights]
        gradients = self._summed(_gradients(module, loss, weights))
        try:
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    if gradient is not None:
                        weight.add_(gradient * (self.gamma * weight.norm() / (gradient.norm() + TINY)))
            yield
        finally:
            with torch.no_grad():
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value)

    def _summed(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients over all processes, sent in one piece: a message for each weight takes longer than its numbers do."""
        found = [gradient for gradient in gradients if gradient is not None]
        if not found:
            return list(gradients)
        flat = self.all_reduce(torch.cat([gradient.reshape(-1) for gradient in found]))
        pieces = iter(torch.split(flat, [gradient.numel() for gradient in found]))
        return [None if gradient is None else next(pieces).view_as(gradient) for gradient in gradients]


def _gradients(module: nn.Module, loss: Callable[[], Tensor], weights: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        return torch.autograd.grad(loss(), weights, allow_unused=True)
    finally:
        # Batch-norm saw the batch here; it sees it again in the pass that trains.
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
