"""FAAL: in every batch, the worst class weights within a KL ball around equal ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import ClassWeighting, LossTerms
from fairart.policies.warm_up import past_warm_up
from fairart.statistics import EpochStatistics

__all__ = ["WorstCaseWeighting", "class_margins", "worst_case_weights"]

BISECTIONS = 40
LOG_LOW, LOG_HIGH = -30.0, 30.0
"""Where log(nu - max m), in units of the spread of the margins, is looked for: 40 halvings leave 6e-11 of it."""


def class_margins(
    logits: Tensor, labels: Tensor, *, all_reduce: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Mean C&W margin max_{j != y} f_j - f_y of each class's samples in a batch, and which classes are present, (K,) each.

    Args:
        logits: (n, K) adversarial logits.
        labels: (n,) true classes.
        all_reduce: sums over the processes that share the batch.
    """
    logits = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], float("-inf"))
    margins = others.amax(dim=1) - own[:, 0]
    sums, counts = logits.new_zeros(2, logits.shape[1]).unbind()
    sums = sums.index_add(0, labels, margins)
    counts = counts.index_add(0, labels, torch.ones_like(margins))
    if all_reduce is not None:
        sums, counts = all_reduce(sums), all_reduce(counts)
    return sums / counts.clamp_min(1), counts > 0


def worst_case_weights(margins: Tensor, present: Tensor, radius: float) -> Tensor:
    """(K,) argmax of p . m over distributions with KL(uniform || p) <= radius, over the classes present (FAAL).

    The solution is p_k proportional to 1 / (nu - m_k) with one number nu > max m. It is found by a fixed number of bisections:
    nothing is read from the device.

    Args:
        margins: (K,) mean margin of each class; what stands for absent classes is not looked at.
        present: (K,) bool.
        radius: >= 0; 0 gives equal weights.
    """
    number = present.sum().to(margins.dtype)
    if radius == 0:
        return present.to(margins.dtype) / number
    top = torch.where(present, margins, float("-inf")).amax()
    gap = torch.where(present, top - margins, 0.0)
    spread = gap.amax()
    # In units of the spread the bracket is the same for every batch; with no spread any nu gives equal weights.
    gap = gap / torch.where(spread > 0, spread, 1.0)

    def distribution(log_distance: Tensor) -> tuple[Tensor, Tensor]:
        distance = log_distance.exp() + gap
        inverse = torch.where(present, 1 / distance, 0.0)
        total = inverse.sum()
        divergence = torch.where(present, distance.log(), 0.0).sum() / number + total.log() - number.log()
        return inverse / total, divergence

    low, high = margins.new_tensor([LOG_LOW, LOG_HIGH]).unbind()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_far = distribution(middle)[1] > radius
        low, high = torch.where(too_far, middle, low), torch.where(too_far, high, middle)
    return distribution(high)[0]


class WorstCaseWeighting(ClassWeighting):
    """FAAL: loss K_present * sum_i p_{y_i} l_i / n with p the worst weights for the batch's margins (Zhang et al., CVPR 2024).

    p maximises the mean C&W margin among distributions with KL(uniform || p) <= radius. Classes absent from the batch get none.
    The paper fine-tunes a robust model for two epochs.

    A convex problem in every batch; its solution needs one root, found by bisection on the device.

    Args:
        radius: of the KL ball.
        warm_up: epochs of the plain objective before; None for all but the last two.
    """

    looks_across_batch: ClassVar[bool] = True

    def __init__(
        self,
        *,
        radius: Annotated[float, Option("radius of the KL ball around equal weights", low=0, high=10, source="FAAL 0.5")] = 0.5,
        warm_up: Annotated[
            int | None, Option("epochs of the plain objective before; None: all but the last two", low=0, source="FAAL")
        ] = 0,
    ) -> None:
        super().__init__()
        self.radius, self.warm_up = radius, warm_up
        self.active = warm_up == 0

    def update(self, statistics: EpochStatistics) -> None:
        """Set in once the warm-up is over; the weights themselves are chosen batch by batch."""
        super().update(statistics)
        epochs = max(1, statistics.nb_epochs - 2) if self.warm_up is None else self.warm_up
        self.active = self.active or past_warm_up(epochs, statistics, share=0.0)

    def combine(self, terms: LossTerms, labels: Tensor) -> Tensor:
        """K_present * sum_i p_{y_i} l_i / n, a scalar."""
        total = terms.total()
        if not self.active:
            return total.mean()
        margins, present = class_margins(terms.adversarial_logits, labels, all_reduce=self.all_reduce)
        weights = worst_case_weights(margins, present, self.radius) * present.sum()
        return (weights[labels].to(total.dtype) * total).mean()

    def state_dict(self) -> dict[str, Any]:
        """Whether it has set in."""
        return {**super().state_dict(), "active": self.active}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take that back."""
        super().load_state_dict(state)
        self.active = bool(state["active"])
