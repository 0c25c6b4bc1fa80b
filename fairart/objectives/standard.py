"""Standard training on clean inputs."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from fairart.objectives.base import Batch, Examples, Objective
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["StandardObjective"]


class StandardObjective(Objective):
    """CE(f(x), y), without an attack; the "robust" statistics of training are then those of the clean inputs."""

    perturbs: ClassVar[bool] = False
    takes_targets: ClassVar[bool] = False
    takes_soft_labels: ClassVar[bool] = True

    def examples(self, network: nn.Module, batch: Batch) -> Examples:
        """The clean inputs themselves."""
        return (batch.x,)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Cross-entropy of each sample."""
        logits = network(examples[0])
        return LossTerms(natural=batch.classification(logits), adversarial_logits=logits, clean_logits=logits)
