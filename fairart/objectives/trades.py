"""TRADES: clean cross-entropy plus a term that keeps predictions alike in the ball."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from fairart.attacks import pgd
from fairart.attacks.common import kl_divergence
from fairart.attacks.pgd import draw_start
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.objectives.trained_network import trained_network
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["TRADESObjective"]


class TRADESObjective(Objective):
    """mean CE(f(x), y) + beta * mean KL(f(x) || f(x')) with x' from PGD on that KL (TRADES, ICML 2019, Eq. 5).

    Start x + 0.001 N(0, 1), batch-norm in eval mode during the attack. With targets the inner problem is the targeted
    cross-entropy from the same start; FAIR-TAT's released program left it untargeted: ``targeted_inner=False``. A sampler that
    mixes (``TargetSampler.mixes``) gives some samples their label as target: those climb the KL.

    Args:
        beta: factor of the KL term.
        targeted_inner: whether targets, where a sampler draws them, steer the inner attack.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    has_boundary: ClassVar[bool] = True
    takes_soft_labels: ClassVar[bool] = True

    def __init__(
        self,
        *,
        beta: Annotated[float, Option("factor of the KL term", low=0, source="TRADES Eq. 5")] = 6.0,
        targeted_inner: Annotated[bool, Option("whether targets steer the inner attack", source="FAIR-TAT program: no")] = True,
        attack_mode: AttackMode = "eval",
    ) -> None:
        self.beta = beta
        self.targeted_inner = targeted_inner
        self.attack_mode = attack_mode

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """PGD on the KL, or on the cross-entropy to the targets."""
        if batch.targets is not None and self.targeted_inner:
            start = draw_start(batch.x, batch.eps, "kl", batch.generator)
            # Samples that aim at no class are attacked as without targets: on the KL.
            loss: Literal["ce", "kl"] = "kl" if batch.mixed else "ce"
            attacked = trained_network(network, batch) if batch.mixed else network
            return pgd(attacked, batch.x, batch.targets, loss=loss, targeted=batch.targeted, start=start, **batch.budget)
        attacked = trained_network(network, batch)
        with torch.no_grad():
            reference = attacked(batch.x)
        return pgd(attacked, batch.x, None, loss="kl", reference=reference, **batch.budget)

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Clean cross-entropy and KL of each sample."""
        clean = network(batch.x)
        adversarial = network(examples[0])
        return LossTerms(
            natural=batch.classification(clean),
            boundary=kl_divergence(batch.trained_logits(adversarial), batch.trained_logits(clean)),
            beta=self.beta,
            adversarial_logits=adversarial,
            clean_logits=clean,
        )
