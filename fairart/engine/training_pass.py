"""A pass over the training data under attack, before an epoch, for policies that plan by it."""

from __future__ import annotations

import torch

from fairart.attacks import pgd
from fairart.draws import PartGenerator
from fairart.engine.data.sources import DeviceData, batch_slices, rows_of
from fairart.engine.meter import count
from fairart.engine.network import Network, restored_modes
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.engine.validation import ValidationAttack
from fairart.statistics import ConfusionMatrix

__all__ = ["TrainingPass"]


class TrainingPass:
    """Predictions on the whole training set under PGD in eval mode, each true logit lowered by a share of itself.

    Args:
        network: the classifier as it predicts.
        data: the training data on the device.
        attack: the attack.
        nb_classes: K.
        batch_size: samples at once.
        true_logit_cut: share by which each true logit is lowered.
        processes: who shares the work.
    """

    def __init__(
        self,
        network: Network,
        data: DeviceData,
        attack: ValidationAttack,
        *,
        nb_classes: int,
        batch_size: int,
        true_logit_cut: float,
        processes: Processes = ONE_PROCESS,
    ) -> None:
        self.processes = processes if len(data) >= processes.size else ONE_PROCESS
        self.network, self.data, self.attack = network, data, attack
        self.nb_classes, self.batch_size, self.true_logit_cut = nb_classes, batch_size, true_logit_cut

    def measure(self, generator: PartGenerator) -> ConfusionMatrix:
        """One pass, shared by the processes.

        Args:
            generator: random state of the attack's starts, on the device.
        """
        counts = torch.zeros(self.nb_classes**2, dtype=torch.int64, device=self.network.device)
        with restored_modes(self.network, training=False):
            for batch in batch_slices(len(self.data), self.batch_size, smallest=max(2, self.processes.size)):
                generator.part = self.processes.part(batch.stop - batch.start)
                x, y = self.data.take(rows_of(batch, generator.part))
                x_adv = pgd(
                    self.network,
                    x,
                    y,
                    eps=self.attack.eps,
                    eps_step=self.attack.eps_step,
                    max_iter=self.attack.max_iter,
                    clip_values=self.network.clip_values,
                    generator=generator,
                    norm=self.attack.norm,
                )
                with torch.no_grad():
                    logits = self.network(x_adv)
                own = y[:, None]
                count(counts, y, logits.scatter(1, own, (1 - self.true_logit_cut) * logits.gather(1, own)))
        self.processes.reduce_(counts)
        return ConfusionMatrix(counts.view(self.nb_classes, -1).cpu().numpy())
