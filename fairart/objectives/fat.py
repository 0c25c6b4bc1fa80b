"""Friendly adversarial training: adversarial inputs that are only just misclassified."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, nn

from fairart.attacks import early_stopped_pgd
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["FATObjective"]

SCHEDULE = ((50, 0), (90, 1))
"""FAT's own schedule: tau 0 before epoch 50, 1 before epoch 90, 2 from then on."""


class FATObjective(Objective):
    """CE(f(x'), y) with x' from PGD that stops ``tau`` steps after the first misclassification (FAT, ICML 2020, Alg. 1).

    Batch-norm in eval mode during the attack. With targets, PGD descends CE(f(x'), t) and stops by the same rule.

    Args:
        tau: steps after the first misclassified iterate (3 in CFA); None for FAT's schedule 0, 1, 2 by epoch.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    takes_soft_labels: ClassVar[bool] = True

    def __init__(
        self,
        *,
        tau: Annotated[
            int | None,
            Option(
                "steps after the first misclassified iterate; None: 0, from epoch 50 on 1, from 90 on 2",
                low=0,
                source="CFA 3, FAT None",
            ),
        ] = 3,
        attack_mode: AttackMode = "eval",
    ) -> None:
        self.tau = tau
        self.attack_mode = attack_mode

    def _tau(self, epoch: int) -> int:
        if self.tau is not None:
            return self.tau
        return next((tau for before, tau in SCHEDULE if epoch < before), 2)

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """Early-stopped PGD away from the label, or towards the target."""
        return early_stopped_pgd(
            network,
            batch.x,
            batch.y,
            targets=batch.targets,
            aims=batch.aims,
            tau=self._tau(batch.epoch),
            **batch.budget,
        )

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Cross-entropy of the adversarial inputs."""
        logits = network(examples[0])
        return LossTerms(natural=batch.classification(logits), adversarial_logits=logits)
