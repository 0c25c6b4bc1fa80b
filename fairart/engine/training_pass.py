"""A pass over the training data under attack, before an epoch, for policies that plan by it."""

from __future__ import annotations

from typing import Any

import torch

from fairart.draws import PartGenerator
from fairart.engine.meter import count
from fairart.engine.network import restored_modes
from fairart.engine.validation import AttackedData
from fairart.statistics import ConfusionMatrix

__all__ = ["TrainingPass"]


class TrainingPass(AttackedData):
    """Predictions on the whole training set under PGD in eval mode, each true logit lowered by a share of itself.

    Takes the arguments of :class:`fairart.engine.validation.AttackedData` as well.

    Args:
        true_logit_cut: share by which each true logit is lowered.
    """

    def __init__(self, *arguments: Any, true_logit_cut: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.true_logit_cut = true_logit_cut

    def measure(self, generator: PartGenerator) -> ConfusionMatrix:
        """One pass, shared by the processes.

        Args:
            generator: random state of the attack's starts, on the device.
        """
        counts = self.counts()
        with restored_modes(self.network, training=False):
            for x, y in self.batches(generator):
                x_adv = self.attack.examples(self.network, x, y, generator=generator)
                with torch.no_grad():
                    logits = self.network(x_adv)
                own = y[:, None]
                count(counts, y, logits.scatter(1, own, (1 - self.true_logit_cut) * logits.gather(1, own)))
        self.processes.reduce_(counts)
        return self.matrix(counts)
