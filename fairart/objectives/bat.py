"""Balanced adversarial training: both sides of the decision boundary."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import nn

from fairart.attacks import boundary_pgd
from fairart.attacks.common import kl_divergence
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["BATObjective"]


class BATObjective(Objective):
    """CE(f(x_b), y) + beta KL(f(x) || f(x_a)) + KL(f(x_b) || u) + KL(f(x_a) || u), u uniform (BAT, Sun et al., AAAI 2023).

    x_b is the last iterate of KL-PGD that is still classified right, x_a the first misclassified one plus ``tau`` steps. The
    boundary examples balance how hard the source classes are, the uniform terms how readily targets are hit.

    The program attacks twice a batch; here both come from one pass of the attack (:func:`fairart.attacks.boundary_pgd`):
    10 forwards of the attack and 3 of training at max_iter 10, besides the clean reference.

    Args:
        beta: factor of the KL term.
        tau: steps after the first misclassified iterate.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    has_boundary: ClassVar[bool] = True
    takes_targets: ClassVar[bool] = False
    nb_examples: ClassVar[int] = 2
    takes_soft_labels: ClassVar[bool] = True

    def __init__(
        self,
        *,
        beta: Annotated[float, Option("factor of the KL term", low=0, source="BAT 6")] = 6.0,
        tau: Annotated[int, Option("steps after the first misclassified iterate", low=0, source="BAT 1")] = 1,
        attack_mode: AttackMode = "eval",
    ) -> None:
        self.beta, self.tau, self.attack_mode = beta, tau, attack_mode

    def examples(self, network: nn.Module, batch: Batch) -> Examples:
        """The last clean and the first adversarial iterate."""
        return boundary_pgd(network, batch.x, batch.y, tau=self.tau, **batch.budget)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Cross-entropy of x_b, KL between x and x_a, and both uniform terms, sample by sample."""
        last_clean, first_adversarial = (network(one) for one in examples)
        clean = network(batch.x)
        # Equal logits are the uniform distribution.
        uniform = torch.zeros_like(clean)
        return LossTerms(
            natural=batch.classification(last_clean),
            boundary=kl_divergence(batch.trained_logits(first_adversarial), batch.trained_logits(clean)),
            extra=kl_divergence(uniform, last_clean) + kl_divergence(uniform, first_adversarial),
            extra_terms=2,
            beta=self.beta,
            adversarial_logits=first_adversarial,
            clean_logits=clean,
        )
