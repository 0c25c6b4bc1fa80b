"""One pass over validation data an epoch, shared by every policy that asks, and what other such passes share with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fairart.attacks import pgd
from fairart.attacks.common import kl_divergence
from fairart.draws import PartGenerator, in_pieces
from fairart.engine.accumulation import micro_slices
from fairart.engine.data.sources import DeviceData, batch_slices, rows_of
from fairart.engine.meter import count
from fairart.engine.network import Network, restored_modes
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.objectives.base import cross_entropy
from fairart.statistics import ConfusionMatrix, ValidationStatistics

__all__ = ["AttackedData", "ValidationAttack", "Validator"]


@dataclass(frozen=True, kw_only=True)
class ValidationAttack:
    """The attack on data between epochs: PGD, the base budget for every class.

    Args:
        eps: radius.
        eps_step: step.
        max_iter: steps.
        loss: ``"ce"``, or ``"kl"`` where the losses that are measured are those of TRADES.
        norm: that eps and step are measured in, inf or 2.
    """

    eps: float
    eps_step: float
    max_iter: int
    loss: Literal["ce", "kl"] = "ce"
    norm: float = math.inf

    def examples(
        self, network: Network, x: Tensor, y: Tensor, *, generator: torch.Generator, reference: Tensor | None = None
    ) -> Tensor:
        """Adversarial inputs, (n, ...); the network's modes are used as they are.

        Args:
            network: the classifier as it predicts.
            x: (n, ...) clean inputs.
            y: (n,) labels.
            generator: random state of the starts, on the device.
            reference: (n, K) clean logits where the caller has them; only the KL attack uses them.
        """
        return pgd(
            network,
            x,
            y,
            eps=self.eps,
            eps_step=self.eps_step,
            max_iter=self.max_iter,
            loss=self.loss,
            reference=reference,
            clip_values=network.clip_values,
            generator=generator,
            norm=self.norm,
        )


class AttackedData:
    """Data that is attacked as a whole between epochs, shared by the processes.

    Args:
        network: the classifier as it predicts.
        data: the data on the device.
        attack: the attack.
        nb_classes: K.
        batch_size: samples that the random starts are drawn for at once.
        processes: who shares the work.
        at_once: most samples of a pass; None for all of a batch.
    """

    def __init__(
        self,
        network: Network,
        data: DeviceData,
        attack: ValidationAttack,
        *,
        nb_classes: int,
        batch_size: int,
        processes: Processes = ONE_PROCESS,
        at_once: int | None = None,
    ) -> None:
        # Too few for everybody to have some: then each measures all of them, and nothing is summed.
        self.processes = processes if len(data) >= processes.size else ONE_PROCESS
        self.network, self.data, self.attack = network, data, attack
        self.nb_classes, self.batch_size, self.at_once = nb_classes, batch_size, at_once

    def batches(self, generator: PartGenerator) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's part of each batch, or the pieces of it, with the generator set to them.

        Args:
            generator: random state of the attack's starts, on the device.
        """
        for batch in batch_slices(len(self.data), self.batch_size, smallest=max(2, self.processes.size)):
            generator.part = self.processes.part(batch.stop - batch.start)
            mine = rows_of(batch, generator.part)
            number = mine.stop - mine.start
            for rows in in_pieces(generator, micro_slices(number, self.at_once or number)):
                yield self.data.take(slice(mine.start + rows.start, mine.start + rows.stop))

    def counts(self) -> Tensor:
        """(K * K,) zeros to count predictions in."""
        return torch.zeros(self.nb_classes**2, dtype=torch.int64, device=self.network.device)

    def matrix(self, counts: Tensor) -> ConfusionMatrix:
        """The counts as a confusion matrix. Reads from the device."""
        return ConfusionMatrix(counts.view(self.nb_classes, -1).cpu().numpy())


class Validator(AttackedData):
    """Measures clean and robust predictions on validation data; takes the arguments of :class:`AttackedData`.

    Args:
        losses: also measure the class-wise natural and boundary loss.
    """

    def __init__(self, *arguments: Any, losses: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.losses = losses

    def measure(self, generator: PartGenerator) -> ValidationStatistics:
        """One pass, shared by the processes.

        Args:
            generator: random state of the attack's starts, on the device.
        """
        clean, robust = self.counts(), self.counts()
        sums = torch.zeros(2, self.nb_classes, dtype=torch.float64, device=self.network.device)
        with restored_modes(self.network, training=False):
            for x, y in self.batches(generator):
                clean_logits, robust_logits = self._logits(x, y, generator)
                count(clean, y, clean_logits)
                count(robust, y, robust_logits)
                if self.losses:
                    sums[0].index_add_(0, y, cross_entropy(clean_logits, y).double())
                    sums[1].index_add_(0, y, kl_divergence(robust_logits, clean_logits).double())
        for tensor in (clean, robust, sums):
            self.processes.reduce_(tensor)
        return self._statistics(clean, robust, sums)

    def _logits(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            clean_logits = self.network(x)
        x_adv = self.attack.examples(self.network, x, y, generator=generator, reference=clean_logits)
        with torch.no_grad():
            return clean_logits, self.network(x_adv)

    def _statistics(self, clean: Tensor, robust: Tensor, sums: Tensor) -> ValidationStatistics:
        clean_matrix, robust_matrix = self.matrix(clean), self.matrix(robust)
        if not self.losses:
            return ValidationStatistics(clean=clean_matrix, robust=robust_matrix)
        natural, boundary = (sums.cpu() / torch.as_tensor(clean_matrix.support)).numpy()
        return ValidationStatistics(clean=clean_matrix, robust=robust_matrix, natural_loss=natural, boundary_loss=boundary)
