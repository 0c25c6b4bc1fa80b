"""Adversarial training with one gradient a batch: FGSM from a random start, and N-FGSM."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from torch import Tensor, nn

from fairart import draws
from fairart.attacks import pgd
from fairart.attacks.common import per_sample
from fairart.objectives.base import AttackMode, Batch, Examples, Objective
from fairart.plugins.options import Option
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["FGSMRSObjective", "NFGSMObjective"]


class _SingleStep(Objective):
    """CE(f(x'), y) with x' from one gradient; ``max_iter`` and ``eps_step`` are those of the validation attacks."""

    single_step: ClassVar[bool] = True
    norms: ClassVar[frozenset[float]] = frozenset({math.inf})
    takes_soft_labels: ClassVar[bool] = True

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """Cross-entropy of the adversarial inputs."""
        logits = network(examples[0])
        return LossTerms(natural=batch.classification(logits), adversarial_logits=logits)


class FGSMRSObjective(_SingleStep):
    """CE(f(x'), y), x' by one step of ``step`` eps from a uniform start in the ball, projected (Wong et al., ICLR 2020).

    With targets, the step descends CE(f(x'), t). Batch-norm in train mode during the attack, as in the program.

    Args:
        step: length of the step, in units of eps.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    def __init__(
        self,
        *,
        step: Annotated[
            float, Option("length of the step, in units of eps", low=0, low_open=True, source="Wong et al. 1.25")
        ] = 1.25,
        attack_mode: AttackMode = "train",
    ) -> None:
        self.step, self.attack_mode = step, attack_mode

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """One step away from the label, or towards the target."""
        budget = {**batch.budget, "eps_step": self.step * batch.eps, "max_iter": 1}
        return pgd(network, batch.x, batch.aims, targeted=batch.targeted, **budget)


class NFGSMObjective(_SingleStep):
    """CE(f(x'), y), x' = x + n + step eps sign(gradient at x + n), n uniform in +- noise eps (de Jorge et al., NeurIPS 2022).

    x' is clipped to the valid values and not projected onto the ball: its budget is (noise + step) eps, and the engine holds it
    to that. With targets, the step descends CE(f(x'), t). Batch-norm in train mode during the attack, as in the program.

    Args:
        noise: half width of the noise, in units of eps.
        step: length of the step, in units of eps.
        attack_mode: batch-norm and dropout mode during the attack.
    """

    def __init__(
        self,
        *,
        noise: Annotated[float, Option("half width of the noise, in units of eps", low=0, source="N-FGSM 2")] = 2.0,
        step: Annotated[float, Option("length of the step, in units of eps", low=0, low_open=True, source="N-FGSM 1")] = 1.0,
        attack_mode: AttackMode = "train",
    ) -> None:
        self.noise, self.step, self.attack_mode = noise, step, attack_mode

    @property
    def budget_factor(self) -> float:
        """noise + step: how far from the input an example may lie, in units of eps."""
        return self.noise + self.step

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        """Noise, then one step from there."""
        x, radius = batch.x, per_sample(batch.eps, batch.x, "eps")
        uniform = draws.rand(x.shape, generator=batch.generator, device=x.device, dtype=x.dtype)
        # pgd() projects its start: onto the valid values, since the noise lies inside the budget.
        noisy = x + self.noise * radius * (2 * uniform - 1)
        budget = {**batch.budget, "eps": self.budget_factor * batch.eps, "eps_step": self.step * batch.eps, "max_iter": 1}
        return pgd(network, x, batch.aims, targeted=batch.targeted, start=noisy, **budget)
