"""MART: misclassified samples are regularised more."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairart.attacks import pgd
from fairart.attacks.common import kl_divergence
from fairart.attacks.pgd import draw_start
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["MARTObjective"]


class MARTObjective(Objective):
    """BCE(f(x'), y) + beta * KL(f(x) || f(x')) * (1 - p_y(x)) with x' from PGD on the cross-entropy (MART, ICLR 2020, Eq. 11).

    BCE = CE(f(x'), y) - log(1 - max_{k != y} p_k(x')). Start x + 0.001 N(0, 1) and batch-norm in eval mode during the attack, as
    in the authors' program. With targets, PGD descends CE(f(x'), t).

    Args:
        beta: factor of the weighted KL term, the paper's lambda.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    has_boundary: ClassVar[bool] = True

    def __init__(
        self,
        *,
        beta: Annotated[float, Option("factor of the weighted KL term, the paper's lambda", low=0, source="MART 5")] = 5.0,
        attack_mode: AttackMode = "eval",
    ) -> None:
        self.beta, self.attack_mode = beta, attack_mode

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """PGD on the cross-entropy, away from the label or towards the target."""
        start = draw_start(batch.x, batch.eps, "kl", batch.generator)
        return pgd(network, batch.x, batch.aims, targeted=batch.targeted, start=start, **batch.budget)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Boosted cross-entropy, and the KL weighted by how unsure the clean prediction is."""
        clean, adversarial = network(batch.x), network(examples[0])
        # log(1 - p) = log of the sum of all other probabilities: exact where p is nearly 1.
        others = adversarial.scatter(1, batch.y[:, None], -torch.inf)
        runner_up = others.argmax(dim=1, keepdim=True)
        log_rest = adversarial.scatter(1, runner_up, -torch.inf).logsumexp(dim=1) - adversarial.logsumexp(dim=1)
        unsure = 1 - F.softmax(clean, dim=1).gather(1, batch.y[:, None])[:, 0]
        return LossTerms(
            natural=batch.classification(adversarial) - log_rest,
            boundary=kl_divergence(batch.trained_logits(adversarial), batch.trained_logits(clean)) * unsure,
            beta=self.beta,
            adversarial_logits=adversarial,
            clean_logits=clean,
        )
