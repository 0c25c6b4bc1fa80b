"""Adversarial training as Madry et al. wrote it, targeted as FAIR-TAT does it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from fairart.attacks import pgd
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["ATObjective"]


class ATObjective(Objective):
    """CE(f(x'), y) with x' from PGD on the cross-entropy (Madry et al., ICLR 2018, Eq. 2.1).

    Uniform random start, batch-norm in train mode during the attack (Rice et al., and the CFA and FAIR-TAT programs). With
    targets, PGD descends CE(f(x'), t) instead (FAIR-TAT, Eq. 6); the loss stays on the label.

    Args:
        attack_mode: batch-norm and dropout mode during the attack.
    """

    takes_soft_labels: ClassVar[bool] = True

    def __init__(self, *, attack_mode: AttackMode = "train") -> None:
        self.attack_mode = attack_mode

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """PGD away from the label, or towards the target."""
        return pgd(network, batch.x, batch.aims, targeted=batch.targeted, **batch.budget)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Cross-entropy of the adversarial inputs."""
        logits = network(examples[0])
        return LossTerms(natural=batch.classification(logits), adversarial_logits=logits)
