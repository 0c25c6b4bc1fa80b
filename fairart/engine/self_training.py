"""Self-training: labels that the network confidently contradicts are replaced by its own predictions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairart.engine.data.batches import Samples
from fairart.engine.history import EpochRecord
from fairart.engine.loop import Engine
from fairart.engine.meter import EpochMeter

__all__ = ["SelfTrainingEngine", "replaced_labels"]


def replaced_labels(logits: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """The predicted class where its probability reaches the threshold, else the label, (n,).

    Args:
        logits: (n, K).
        labels: (n,).
        threshold: in (0, 1].
    """
    confidences, classes = logits.softmax(dim=1).max(dim=1)
    return torch.where(confidences >= threshold, classes, labels)


class SelfTrainingEngine(Engine):
    """Trains on replaced labels after a warm-up; takes the arguments of :class:`fairart.engine.loop.Engine` as well.

    The predictions are those of the network as it is, in eval mode, on the clean images of the batch. Attack, budgets, weights
    and statistics go by the label that is trained on. Given labels stay in the data: what is replaced in one epoch need not be in
    the next.

    Args:
        *arguments: of the engine.
        threshold: confidence from which a label is replaced.
        warm_up: epochs with the labels as given; None for half of the run.
        **options: of the engine.
    """

    def __init__(self, *arguments: Any, threshold: float, warm_up: int | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.threshold, self.warm_up = threshold, warm_up
        self._first = 0
        # Seen and replaced, by given class.
        self._counts = torch.zeros((2, self.nb_classes), dtype=torch.int64, device=self.network.device)

    def run(self, *arguments: Any, nb_epochs: int, **options: Any) -> None:
        """Train, see :meth:`fairart.engine.loop.Engine.run`.

        Args:
            *arguments: of that method.
            nb_epochs: where to stop.
            **options: of that method.
        """
        self._first = math.ceil(nb_epochs / 2) if self.warm_up is None else self.warm_up
        super().run(*arguments, nb_epochs=nb_epochs, **options)

    def further_state(self) -> dict[str, Any]:
        """The counts of the epoch under way."""
        return {"counts": self._counts}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._counts.copy_(state["counts"])

    def _epoch(self, *arguments: Any) -> EpochRecord:
        record = super()._epoch(*arguments)
        counts = self._counts.clone()
        self.processes.reduce_(counts)
        self._counts.zero_()
        if record.epoch < self._first:
            return record
        seen, replaced = counts.cpu().double().numpy()
        return dataclasses.replace(record, relabelled=replaced / seen.clip(min=1))

    def _step(self, samples: Samples, epoch: int, meter: EpochMeter) -> None:
        if epoch >= self._first:
            labels = replaced_labels(self._clean_logits(samples.x), samples.y, self.threshold)
            for row, there in enumerate((torch.ones_like(samples.y), (labels != samples.y).long())):
                self._counts[row].scatter_add_(0, samples.y, there)
            samples = samples._replace(y=labels)
        super()._step(samples, epoch, meter)
